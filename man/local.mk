# All lists of commands and options come from the program's own tables; pages of
# single commands as a whole.
MAN_COMMANDS = curl detach gather-logs ingest intercept list mirror replace serve \
	uninstall volume
MAN_PAGES = $(MAN_COMMANDS:%=man/tp-%.1)

EXTRA_DIST += man/tp.1.in tests/man/check
CLEANFILES += man/tp.1 $(MAN_PAGES)
nodist_man_MANS = man/tp.1 $(MAN_PAGES)

man/tp.1: $(srcdir)/man/tp.1.in tp$(EXEEXT)
	@$(MKDIR_P) man
	$(AM_V_GEN)./tp$(EXEEXT) help --man >$@.list && \
		sed -e "/^@COMMANDS@/r $@.list" -e '/^@COMMANDS@/d' \
		$(srcdir)/man/tp.1.in >$@.new && \
		rm -f $@.list && mv $@.new $@

$(MAN_PAGES): tp$(EXEEXT)
	@$(MKDIR_P) man
	$(AM_V_GEN)name=$@; name=$${name#man/tp-}; \
		./tp$(EXEEXT) help --man $${name%.1} >$@.new && mv $@.new $@

# Help texts and man pages say the same.
.PHONY: check-man
check-man: man/tp.1 $(MAN_PAGES)
	$(srcdir)/tests/man/check ./tp$(EXEEXT) man
check-local: check-man

dist_man_MANS += man/tp-mount.1
