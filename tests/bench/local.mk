# What tests/bench/run needs; built only when it asks.
EXTRA_PROGRAMS += bench-client bench-pump
bench_client_SOURCES = tests/bench/client.c
bench_client_CFLAGS = -std=gnu17 $(TP_WARNINGS) -pthread
bench_client_LDFLAGS = -static -pthread
bench_pump_SOURCES = \
	tests/bench/pump.c tests/bench/pump.h \
	tests/bench/pump_client.c tests/bench/pump_pipe.c \
	tests/bench/pump_relay.c tests/bench/pump_server.c
bench_pump_LDADD = $(NET_LIBS)
CLEANFILES += bench-client bench-pump
