# The list of commands and options comes from the program's own tables.
EXTRA_DIST += man/tp.1.in
CLEANFILES += man/tp.1
nodist_man_MANS = man/tp.1

man/tp.1: $(srcdir)/man/tp.1.in tp$(EXEEXT)
	@$(MKDIR_P) man
	$(AM_V_GEN)./tp$(EXEEXT) help --man >$@.list && \
		sed -e "/^@COMMANDS@/r $@.list" -e '/^@COMMANDS@/d' \
		$(srcdir)/man/tp.1.in >$@.new && \
		rm -f $@.list && mv $@.new $@

dist_man_MANS += man/tp-mount.1
