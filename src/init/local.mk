bin_PROGRAMS += tp-init
tp_init_SOURCES = src/init/tp-init.c

if HAVE_CHECK
check_PROGRAMS += check_init
check_init_SOURCES = tests/unit/check_init.c
check_init_CFLAGS = $(CHECK_CFLAGS_ALL)
check_init_LDADD = $(BASE_LIBS) $(CHECK_LIBS)
endif
