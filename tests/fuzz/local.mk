# Fuzz targets (make fuzz). Each parser of foreign bytes has one; each names the
# library that it tests, and adds itself to FUZZ_TARGETS.
FUZZ_TARGETS =
FUZZ_FLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

if ENABLE_FUZZ
FUZZ_TARGETS += fuzz_json
fuzz_json_SOURCES = tests/fuzz/fuzz_json.c
fuzz_json_LDFLAGS = $(FUZZ_FLAGS)
fuzz_json_LDADD = $(BASE_LIBS)

FUZZ_TARGETS += fuzz_sockaddr
fuzz_sockaddr_SOURCES = tests/fuzz/fuzz_sockaddr.c
fuzz_sockaddr_LDFLAGS = $(FUZZ_FLAGS)
fuzz_sockaddr_LDADD = $(BASE_LIBS)

FUZZ_TARGETS += fuzz_http1
fuzz_http1_SOURCES = tests/fuzz/fuzz_http1.c
fuzz_http1_LDFLAGS = $(FUZZ_FLAGS)
fuzz_http1_LDADD = $(NET_LIBS)

FUZZ_TARGETS += fuzz_http1_chunks
fuzz_http1_chunks_SOURCES = tests/fuzz/fuzz_http1_chunks.c
fuzz_http1_chunks_LDFLAGS = $(FUZZ_FLAGS)
fuzz_http1_chunks_LDADD = $(NET_LIBS)

FUZZ_TARGETS += fuzz_websocket
fuzz_websocket_SOURCES = tests/fuzz/fuzz_websocket.c
fuzz_websocket_LDFLAGS = $(FUZZ_FLAGS)
fuzz_websocket_LDADD = $(NET_LIBS)

FUZZ_TARGETS += fuzz_dns
fuzz_dns_SOURCES = tests/fuzz/fuzz_dns.c
fuzz_dns_LDFLAGS = $(FUZZ_FLAGS)
fuzz_dns_LDADD = $(DAEMON_LIBS)

FUZZ_TARGETS += fuzz_dns_answer
fuzz_dns_answer_SOURCES = tests/fuzz/fuzz_dns_answer.c
fuzz_dns_answer_LDFLAGS = $(FUZZ_FLAGS)
fuzz_dns_answer_LDADD = $(DAEMON_LIBS)

FUZZ_TARGETS += fuzz_control
fuzz_control_SOURCES = tests/fuzz/fuzz_control.c
fuzz_control_LDFLAGS = $(FUZZ_FLAGS)
fuzz_control_LDADD = $(DAEMON_LIBS)

FUZZ_TARGETS += fuzz_proxy
fuzz_proxy_SOURCES = tests/fuzz/fuzz_proxy.c
fuzz_proxy_LDFLAGS = $(FUZZ_FLAGS)
fuzz_proxy_LDADD = $(DAEMON_LIBS)

FUZZ_TARGETS += fuzz_hello
fuzz_hello_SOURCES = tests/fuzz/fuzz_hello.c
fuzz_hello_LDFLAGS = $(FUZZ_FLAGS)
fuzz_hello_LDADD = $(DAEMON_LIBS)

FUZZ_TARGETS += fuzz_packet
fuzz_packet_SOURCES = tests/fuzz/fuzz_packet.c
fuzz_packet_LDFLAGS = $(FUZZ_FLAGS)
fuzz_packet_LDADD = libtp-daemon.a $(BASE_LIBS)

FUZZ_TARGETS += fuzz_capsule
fuzz_capsule_SOURCES = tests/fuzz/fuzz_capsule.c
fuzz_capsule_LDFLAGS = $(FUZZ_FLAGS)
fuzz_capsule_LDADD = $(TUNNEL_LIBS)

FUZZ_TARGETS += fuzz_tunnel
fuzz_tunnel_SOURCES = tests/fuzz/fuzz_tunnel.c
fuzz_tunnel_LDFLAGS = $(FUZZ_FLAGS)
fuzz_tunnel_LDADD = $(TUNNEL_LIBS)

FUZZ_TARGETS += fuzz_manager
fuzz_manager_SOURCES = tests/fuzz/fuzz_manager.c
fuzz_manager_LDFLAGS = $(FUZZ_FLAGS)
fuzz_manager_LDADD = $(MANAGER_LIBS)

FUZZ_TARGETS += fuzz_agent
fuzz_agent_SOURCES = tests/fuzz/fuzz_agent.c
fuzz_agent_LDFLAGS = $(FUZZ_FLAGS)
fuzz_agent_LDADD = $(AGENT_LIBS)

FUZZ_TARGETS += fuzz_files
fuzz_files_SOURCES = tests/fuzz/fuzz_files.c
fuzz_files_LDFLAGS = $(FUZZ_FLAGS)
fuzz_files_LDADD = $(AGENT_LIBS)

FUZZ_TARGETS += fuzz_admission
fuzz_admission_SOURCES = tests/fuzz/fuzz_admission.c
fuzz_admission_LDFLAGS = $(FUZZ_FLAGS)
fuzz_admission_LDADD = $(MANAGER_LIBS)

FUZZ_TARGETS += fuzz_engage
fuzz_engage_SOURCES = tests/fuzz/fuzz_engage.c
fuzz_engage_LDFLAGS = $(FUZZ_FLAGS)
fuzz_engage_LDADD = $(MANAGER_LIBS)

FUZZ_TARGETS += fuzz_services
fuzz_services_SOURCES = tests/fuzz/fuzz_services.c
fuzz_services_LDFLAGS = $(FUZZ_FLAGS)
fuzz_services_LDADD = $(MANAGER_LIBS)

FUZZ_TARGETS += fuzz_watch
fuzz_watch_SOURCES = tests/fuzz/fuzz_watch.c
fuzz_watch_LDFLAGS = $(FUZZ_FLAGS)
fuzz_watch_LDADD = $(KUBE_LIBS)

FUZZ_TARGETS += fuzz_kubeconfig
fuzz_kubeconfig_SOURCES = tests/fuzz/fuzz_kubeconfig.c
fuzz_kubeconfig_LDFLAGS = $(FUZZ_FLAGS)
fuzz_kubeconfig_LDADD = $(KUBE_LIBS)

FUZZ_TARGETS += fuzz_execcredential
fuzz_execcredential_SOURCES = tests/fuzz/fuzz_execcredential.c
fuzz_execcredential_LDFLAGS = $(FUZZ_FLAGS)
fuzz_execcredential_LDADD = $(KUBE_LIBS)

FUZZ_TARGETS += fuzz_frames
fuzz_frames_SOURCES = tests/fuzz/fuzz_frames.c
fuzz_frames_LDFLAGS = $(FUZZ_FLAGS)
fuzz_frames_LDADD = $(ENGINE_LIBS)

FUZZ_TARGETS += fuzz_limits
fuzz_limits_SOURCES = tests/fuzz/fuzz_limits.c
fuzz_limits_LDFLAGS = $(FUZZ_FLAGS)
fuzz_limits_LDADD = $(CLI_LIBS)

FUZZ_TARGETS += fuzz_sftp_request
fuzz_sftp_request_SOURCES = tests/fuzz/fuzz_sftp_request.c
fuzz_sftp_request_LDFLAGS = $(FUZZ_FLAGS)
fuzz_sftp_request_LDADD = $(SFTP_LIBS)

FUZZ_TARGETS += fuzz_sftp_reply
fuzz_sftp_reply_SOURCES = tests/fuzz/fuzz_sftp_reply.c
fuzz_sftp_reply_LDFLAGS = $(FUZZ_FLAGS)
fuzz_sftp_reply_LDADD = $(SFTP_LIBS)

FUZZ_TARGETS += fuzz_sftpd
fuzz_sftpd_SOURCES = tests/fuzz/fuzz_sftpd.c
fuzz_sftpd_LDFLAGS = $(FUZZ_FLAGS)
fuzz_sftpd_LDADD = $(SFTPD_LIBS)

FUZZ_TARGETS += fuzz_volume
fuzz_volume_SOURCES = tests/fuzz/fuzz_volume.c
fuzz_volume_CPPFLAGS = -I$(top_srcdir) $(AM_CPPFLAGS)
fuzz_volume_LDFLAGS = $(FUZZ_FLAGS)
fuzz_volume_LDADD = $(VOLUME_LIBS)
endif

EXTRA_PROGRAMS += $(FUZZ_TARGETS)
fuzz-targets: $(FUZZ_TARGETS)
.PHONY: fuzz-targets
