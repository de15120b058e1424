noinst_LIBRARIES += libtp-kube.a
libtp_kube_a_SOURCES = \
	src/kube/client.c src/kube/client.h \
	src/kube/endpoint.c
KUBE_LIBS = libtp-kube.a $(BASE_LIBS) $(CURL_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_kube_client
check_kube_client_SOURCES = tests/unit/check_kube_client.c
check_kube_client_CFLAGS = $(CHECK_CFLAGS_ALL)
check_kube_client_LDADD = $(KUBE_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)
endif
