#include "inject_world.h"

#include <stdlib.h>
#include <string.h>

#define SETTINGS                                                               \
    "{'image': 'r.example/tp-agent:1', 'pullPolicy': 'IfNotPresent',"          \
    " 'pullSecrets': ['regcred'], 'resources': {'limits': {'memory':"          \
    " '128Mi'}}, 'exclude': ['AWS_*', 'S?CRET'], 'idleSeconds': 60,"           \
    " 'logLevel': 'debug', 'nativeSidecars': true}"

struct inject_settings inject_settings;

void inject_set_up(void)
{
    struct tp_error err = {0};
    char *text = quoted_text(SETTINGS);

    ck_assert_msg(inject_settings_parse(&inject_settings, text, &err) == 0,
                  "%s", err.text);
    free(text);
    inject_settings.ca = strdup("PEM");
    inject_settings.own_ns = strdup("tp-system");
    inject_settings.server_name = strdup("tp-manager.tp-system.svc");
    strcpy(inject_settings.manager, "10.43.0.9:8444");
}

void inject_tear_down(void)
{
    inject_settings_release(&inject_settings);
}
