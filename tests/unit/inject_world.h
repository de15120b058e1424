/*
 * inject_world.h - settings and pods for the tests of injection
 */
#ifndef TP_TESTS_INJECT_WORLD_H
#define TP_TESTS_INJECT_WORLD_H

#include <check.h>

#include "base/json.h"
#include "manager/inject.h"
#include "quoted.h"

/* What the manager knows; a checked fixture. */
extern struct inject_settings inject_settings;
void inject_set_up(void);
void inject_tear_down(void);

/* check_inject_refused.c */
TCase *inject_refused_case(void);
TCase *inject_webhook_case(void);

/* check_inject_template.c */
TCase *inject_template_case(void);

#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

/* ---- pods ------------------------------------------------------------------
 */

#define NAMED                                                                  \
    "{'metadata': {'annotations': {'tp.internal/agent': '{\\'version\\': 1,"   \
    "\\'ports\\': [{\\'container\\':\\'app\\',\\'port\\':8080,\\'protocol\\':" \
    "\\'tcp\\',\\'name\\':\\'http\\',\\'mode\\':\\'named\\',\\'listen\\':9900" \
    "}],\\'containers\\':[\\'app\\']}'}}, 'spec': {'containers': [{'name':"    \
    "'app','image':'x','ports': [{'name':'http','containerPort':8080}],"       \
    "'readinessProbe':{'httpGet':{'port':'http'}},"                            \
    "'livenessProbe':{'tcpSocket':{'port':8080}}}]}}"

#define ENABLED(more)                                                          \
    "{'metadata':{'annotations':{'tp.internal/inject':'enabled'" more          \
    "}},'spec':"

#define SPEC                                                                   \
    "'containers':[{'name':'app','ports':[{'name':'http','containerPort':"     \
    "8080}]}]"

#define CONFIG(ports)                                                          \
    "'tp.internal/agent':'{\\'version\\':1,\\'ports\\':[" ports "]"
#define PORT(container, port, mode, listen)                                    \
    "{\\'container\\':\\'" container "\\',\\'port\\':" #port                   \
    ",\\'mode\\':\\'" mode "\\',\\'listen\\':" #listen "}"
#define POD(config, spec)                                                      \
    "{'metadata':{'annotations':{" config "}'}},'spec':{" spec "}}"

#endif
