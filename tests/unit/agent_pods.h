/* agent_pods.h - pods with an agent, as texts with ' for " (see quoted.h) */
#ifndef TP_TESTS_AGENT_PODS_H
#define TP_TESTS_AGENT_PODS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define AGENT(config)                                                          \
    "{'name':'tp-agent','env':[{'name':'TP_AGENT_CONFIG',"                     \
    "'value':'{\\'containers\\':[\\'app\\'],\\'ports\\':[" config "]}'}]}"
#define FIT                                                                    \
    "{\\'port\\':8080,\\'protocol\\':\\'tcp\\',\\'mode\\':\\'named\\',"        \
    "\\'name\\':\\'http\\'}"
#define READY                                                                  \
    "'status':{'phase':'Running','conditions':[{'type':'Ready',"               \
    "'status':'True'}]}"
#define POD(name, containers, status)                                          \
    "{'metadata':{'name':'" name "','uid':'" name "'},'spec':{"                \
    "'containers':[" containers "]}," status "}"

/* An agent is connected whose pod's uid stands in the string arg. */
static inline bool connected_cb(void *arg, const char *uid)
{
    return strstr(arg, uid) != NULL;
}

#endif
