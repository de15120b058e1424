CHART_FILES = \
	chart/tp/.helmignore \
	chart/tp/Chart.yaml \
	chart/tp/values.yaml \
	chart/tp/values.schema.json \
	chart/tp/templates/NOTES.txt \
	chart/tp/templates/_helpers.tpl \
	chart/tp/templates/admission-policy.yaml \
	chart/tp/templates/agent-config.yaml \
	chart/tp/templates/apiservice.yaml \
	chart/tp/templates/authority.yaml \
	chart/tp/templates/checks.yaml \
	chart/tp/templates/client-config.yaml \
	chart/tp/templates/client-rbac.yaml \
	chart/tp/templates/crds.yaml \
	chart/tp/templates/deployment.yaml \
	chart/tp/templates/disruption.yaml \
	chart/tp/templates/networkpolicy.yaml \
	chart/tp/templates/rbac.yaml \
	chart/tp/templates/restore-services.yaml \
	chart/tp/templates/service-direct.yaml \
	chart/tp/templates/service.yaml \
	chart/tp/templates/test.yaml \
	chart/tp/templates/uninstall.yaml \
	chart/tp/templates/webhook.yaml
EXTRA_DIST += $(CHART_FILES) chart/README.md

# The chart is carried in tp: packed so that the same files give the same bytes,
# then turned into an array.
chart/tp.tar.gz: $(CHART_FILES) $(top_srcdir)/chart/local.mk
	$(AM_V_GEN)$(MKDIR_P) chart && tar --no-recursion --mtime=@0 --owner=0 \
		--group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu \
		-C $(top_srcdir)/chart -cf - tp tp/templates \
		$(CHART_FILES:chart/%=%) | gzip -9n >$@.new && mv $@.new $@

chart/chart_data.c: chart/tp.tar.gz
	$(AM_V_GEN){ echo '#include "cli/chart_archive.h"'; \
		echo 'const unsigned char chart_archive_data[] = {'; \
		od -An -v -tx1 chart/tp.tar.gz | sed 's/ \(..\)/0x\1,/g'; \
		echo '};'; echo 'const size_t chart_archive_size ='; \
		echo 'sizeof(chart_archive_data);'; } >$@.new && mv $@.new $@

CLEANFILES += chart/tp.tar.gz chart/chart_data.c

libtp_cli_a_SOURCES += \
	src/cli/chart_archive.c src/cli/chart_archive.h \
	src/cli/chart_helm.c src/cli/chart_helm.h \
	src/cli/cmd_helm.c
nodist_libtp_cli_a_SOURCES = chart/chart_data.c
CLI_LIBS += $(ARCHIVE_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_chart
check_chart_SOURCES = tests/unit/check_chart.c
check_chart_CFLAGS = $(CHECK_CFLAGS_ALL)
check_chart_LDADD = $(CLI_LIBS) $(CHECK_LIBS)
endif
