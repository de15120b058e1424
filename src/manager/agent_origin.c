#include "manager/agent_origin.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/json.h"
#include "manager/inject.h"
#include "manager/workload_config.h"

static void hash(struct agent_origin *o, const char *ca, const char *manager,
                 const char *server_name)
{
    const char *parts[] = {ca, manager, server_name};
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx;

    *o->hash = '\0';
    if (!ca || !*ca)
        return;
    ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1) {
        for (size_t i = 0; i < 3; i++) /* the zeros keep them apart */
            EVP_DigestUpdate(ctx, parts[i] ? parts[i] : "",
                             strlen(parts[i] ? parts[i] : "") + 1);
        EVP_DigestFinal_ex(ctx, digest, NULL);
        for (size_t i = 0; i < (sizeof(o->hash) - 1) / 2; i++)
            snprintf(o->hash + 2 * i, 3, "%02x", digest[i]);
    }
    EVP_MD_CTX_free(ctx);
}

void agent_origin_now(struct agent_origin *o,
                      const struct inject_settings *settings)
{
    *o->hash = '\0';
    if (settings && *settings->manager)
        hash(o, settings->ca, settings->manager, settings->server_name);
}

void agent_origin_of_pod(struct agent_origin *o, struct json_object *pod)
{
    hash(o, agent_variable(pod, "TP_AGENT_CA"),
         agent_variable(pod, "TP_AGENT_MANAGER"),
         agent_variable(pod, "TP_AGENT_SERVER_NAME"));
}

bool agent_origin_differs(const struct agent_origin *a,
                          const struct agent_origin *b)
{
    return *a->hash && *b->hash && strcmp(a->hash, b->hash) != 0;
}
