# Engagements: part of libtp-manager.a, and their tests.
libtp_manager_a_SOURCES += \
	src/manager/agent_origin.c src/manager/agent_origin.h \
	src/manager/agents.h \
	src/manager/claims.c src/manager/claims.h \
	src/manager/config_write.c src/manager/config_write.h \
	src/manager/creation.h \
	src/manager/destinations.c src/manager/destinations.h \
	src/manager/drive_step.c src/manager/drive_step.h \
	src/manager/dry_run.c \
	src/manager/engage.c src/manager/engage_internal.h \
	src/manager/engage_agents.c \
	src/manager/engage_ask.c src/manager/engage_ask.h \
	src/manager/engage_bring.c \
	src/manager/engage_create.c \
	src/manager/engage_decide.c \
	src/manager/engage_destinations.c \
	src/manager/engage_drive.c \
	src/manager/engage_end.c \
	src/manager/engage_files.c \
	src/manager/engage_janitor.c \
	src/manager/engage_limits.c src/manager/engage_limits.h \
	src/manager/engage_links.c \
	src/manager/engage_list.c \
	src/manager/engage_replicas.c \
	src/manager/engage_reply.c src/manager/engage_reply.h \
	src/manager/engage_requests.c \
	src/manager/engage_restore.c \
	src/manager/engage_review.c \
	src/manager/engage_services.c \
	src/manager/engage_sessions.c \
	src/manager/engage_spec.c src/manager/engage_spec.h \
	src/manager/engage_store.c \
	src/manager/engage_uninstall.c src/manager/engage_uninstall.h \
	src/manager/engagement_json.c src/manager/engagement_json.h \
	src/manager/engagements.h \
	src/manager/janitor_clean.c src/manager/janitor_clean.h \
	src/manager/janitor_survey.c \
	src/manager/lease.c src/manager/lease.h \
	src/manager/network_policy.c src/manager/network_policy.h \
	src/manager/network_view.c src/manager/network_view.h \
	src/manager/rollout.c src/manager/rollout.h \
	src/manager/uninstall.c src/manager/uninstall.h \
	src/manager/uninstall_round.c \
	src/manager/service_switch.c src/manager/service_switch.h \
	src/manager/service_switch_run.c src/manager/service_switch_run.h \
	src/manager/workload.c src/manager/workload.h \
	src/manager/workload_config.c src/manager/workload_config.h \
	src/manager/workload_event.c src/manager/workload_event.h \
	src/manager/workload_kind.c src/manager/workload_kind.h \
	src/manager/workload_list.c src/manager/workload_list.h \
	src/manager/workload_ports.c src/manager/workload_ports.h \
	src/manager/workload_routes.c src/manager/workload_routes.h

if HAVE_CHECK
check_PROGRAMS += check_manager_workload check_manager_engage \
	check_manager_services check_manager_reads check_manager_heal
check_manager_reads_SOURCES = tests/unit/check_manager_reads.c
check_manager_reads_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_reads_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_heal_SOURCES = tests/unit/check_manager_heal.c
check_manager_heal_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_heal_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_services_SOURCES = tests/unit/check_manager_services.c
check_manager_services_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_services_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_workload_SOURCES = tests/unit/check_manager_workload.c
check_manager_workload_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_workload_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
check_manager_engage_SOURCES = tests/unit/check_manager_engage.c
check_manager_engage_CFLAGS = $(CHECK_CFLAGS_ALL)
check_manager_engage_LDADD = $(MANAGER_LIBS) $(CHECK_LIBS)
endif
