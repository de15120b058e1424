noinst_LIBRARIES += libtp-kube.a
libtp_kube_a_SOURCES = \
	src/kube/client.c src/kube/client.h \
	src/kube/client_internal.h src/kube/client_setup.c \
	src/kube/endpoint.c \
	src/kube/exec.c src/kube/exec.h \
	src/kube/kubeconfig.c src/kube/kubeconfig.h \
	src/kube/kubeconfig_entries.c \
	src/kube/kubeconfig_internal.h \
	src/kube/kubeconfig_proxy.c \
	src/kube/kubeconfig_url.c src/kube/kubeconfig_url.h \
	src/kube/kubeconfig_values.c \
	src/kube/watch.c src/kube/watch.h \
	src/kube/watch_internal.h \
	src/kube/watch_lines.c src/kube/watch_lines.h \
	src/kube/watch_thread.c \
	src/kube/yaml.c src/kube/yaml.h
KUBE_LIBS = libtp-kube.a $(BASE_LIBS) $(CURL_LIBS) $(YAML_LIBS) $(UV_LIBS)

if HAVE_CHECK
check_PROGRAMS += check_kube_client
check_kube_client_SOURCES = tests/unit/check_kube_client.c
check_kube_client_CFLAGS = $(CHECK_CFLAGS_ALL)
check_kube_client_LDADD = $(KUBE_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_kube_watch
check_kube_watch_SOURCES = tests/unit/check_kube_watch.c
check_kube_watch_CFLAGS = $(CHECK_CFLAGS_ALL)
check_kube_watch_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)

check_PROGRAMS += check_kubeconfig
check_kubeconfig_SOURCES = tests/unit/check_kubeconfig.c
check_kubeconfig_CFLAGS = $(CHECK_CFLAGS_ALL)
check_kubeconfig_LDADD = $(KUBE_LIBS) $(CHECK_LIBS)
endif
