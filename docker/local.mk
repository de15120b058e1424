# Images are made from the built programs without Docker; tp loads the daemon's
# into the engine itself. In a build directory: build/images below it.
IMAGES_DIR = build/images
IMAGES = $(IMAGES_DIR)/tp-agent.tar $(IMAGES_DIR)/tp-daemon.tar \
	$(IMAGES_DIR)/tp-manager.tar $(IMAGES_DIR)/tp-volume.tar
IMAGE_TOOLS = $(top_srcdir)/docker/mkimage $(top_srcdir)/docker/rootfs

EXTRA_DIST += .dockerignore docker/mkimage docker/mkplugin docker/rootfs docker/Dockerfile docker/README.md
CLEANFILES += $(IMAGES)

.PHONY: images plugin
images: $(IMAGES)

# The Docker plugin: not an image, but made and found the same way.
plugin: $(IMAGES_DIR)/tp-volume.tar

$(IMAGES_DIR)/tp-daemon.tar: tp-init$(EXEEXT) tp-daemon$(EXEEXT) $(IMAGE_TOOLS)
	$(AM_V_GEN)$(top_srcdir)/docker/mkimage ./tp-init ./tp-daemon \
		tp-daemon:$(PACKAGE_VERSION) /usr/bin/tp-init $@

$(IMAGES_DIR)/tp-manager.tar: tp-manager$(EXEEXT) $(IMAGE_TOOLS)
	$(AM_V_GEN)$(top_srcdir)/docker/mkimage -u 65532:65532 ./tp-manager \
		tp-manager:$(PACKAGE_VERSION) /usr/bin/tp-manager $@

$(IMAGES_DIR)/tp-agent.tar: tp-agent$(EXEEXT) tp-agent-sftp$(EXEEXT) $(IMAGE_TOOLS)
	$(AM_V_GEN)$(top_srcdir)/docker/mkimage -u 65532:65532 ./tp-agent ./tp-agent-sftp \
		tp-agent:$(PACKAGE_VERSION) /usr/bin/tp-agent $@

$(IMAGES_DIR)/tp-volume.tar: tp-volume$(EXEEXT) tp-mount$(EXEEXT) \
		$(top_srcdir)/docker/mkplugin $(top_srcdir)/docker/rootfs \
		$(top_srcdir)/plugins/volume/config.json
	$(AM_V_GEN)$(top_srcdir)/docker/mkplugin \
		$(top_srcdir)/plugins/volume/config.json $(PACKAGE_VERSION) \
		./tp-volume ./tp-mount $@

install-data-local: images
	$(MKDIR_P) "$(DESTDIR)$(pkgdatadir)"
	$(INSTALL_DATA) $(IMAGES) "$(DESTDIR)$(pkgdatadir)"

uninstall-local:
	rm -f "$(DESTDIR)$(pkgdatadir)/tp-agent.tar" \
		"$(DESTDIR)$(pkgdatadir)/tp-daemon.tar" \
		"$(DESTDIR)$(pkgdatadir)/tp-manager.tar" \
		"$(DESTDIR)$(pkgdatadir)/tp-volume.tar"
