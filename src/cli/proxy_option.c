#include "cli/proxy_option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/sockaddr.h"
#include "cli/cli.h"
#include "cli/publish.h"
#include "base/proxy_port.h"

#define LOOPBACK     "127.0.0.1"
#define PASSWORD_LEN 26 /* letters of 5 bits: 130 bits */

static int bad(const char *text, const char *why, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "--proxy %s: %s; it is [ADDRESS:]PORT",
                        text, why);
}

static int parse_port(const char *text, uint16_t *port)
{
    size_t len = strlen(text);
    unsigned long n;

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return -EINVAL;
    n = strtoul(text, NULL, 10);
    *port = (uint16_t)n;
    return n >= 1 && n <= UINT16_MAX ? 0 : -EINVAL;
}

/* "[v6]:PORT", "IP:PORT", "localhost:PORT" or "PORT". Cuts text up. */
static const char *cut(char *text, const char **port)
{
    char *colon = strrchr(text, ':');
    size_t len;

    *port = colon ? colon + 1 : text;
    if (!colon)
        return LOOPBACK;
    *colon = '\0';
    len = strlen(text);
    if (*text == '[' && len > 2 && text[len - 1] == ']') {
        text[len - 1] = '\0';
        return text + 1;
    }
    if (strchr(text, ':')) /* an IPv6 address wants its brackets */
        return "";
    return strcmp(text, "localhost") != 0 ? text : LOOPBACK;
}

static int make_password(char text[PASSWORD_LEN + 1], struct tp_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[PASSWORD_LEN];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return tp_error_errno(err, -EIO, "random numbers");
    for (size_t i = 0; i < PASSWORD_LEN; i++)
        text[i] = letters[random[i] & 31];
    text[PASSWORD_LEN] = '\0';
    explicit_bzero(random, sizeof(random));
    return 0;
}

/* Docker's -p for both protocols. */
static int publish(const struct proxy_option *o, struct json_object *exposed,
                   struct json_object *bindings, struct tp_error *err)
{
    static const char *const protocols[] = {"tcp", "udp"};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 2; i++) {
        char text[SOCKADDR_TEXT + 32];

        snprintf(text, sizeof(text), "%s:%d/%s", o->at, PROXY_PORT,
                 protocols[i]);
        rc = publish_parse(text, exposed, bindings, err);
    }
    return rc;
}

static int build(struct proxy_option *o, const union sockaddr_any *addr,
                 bool auth, struct tp_error *err)
{
    char ip[SOCKADDR_TEXT], at[SOCKADDR_TEXT], password[PASSWORD_LEN + 1];

    sockaddr_format_ip(addr, ip);
    sockaddr_format(addr, at);
    o->at = strdup(at);
    if (!o->at)
        return tp_error_errno(err, -ENOMEM, "--proxy");
    o->session = json_object_new_object();
    json_put_str(o->session, "address", ip);
    json_object_object_add(o->session, "port",
                           json_object_new_int(sockaddr_port(addr)));
    if (!auth)
        return 0;
    if (make_password(password, err) < 0)
        return err->code;
    json_put_str(o->session, "password", password);
    explicit_bzero(password, sizeof(password));
    return 0;
}

int proxy_option_parse(struct proxy_option *o, const char *text, bool auth,
                       struct json_object *exposed,
                       struct json_object *bindings, struct tp_error *err)
{
    cleanup_free char *copy = strdup(text);
    const char *ip, *port_text;
    union sockaddr_any addr;
    uint16_t port;
    int rc;

    if (!copy)
        return tp_error_errno(err, -ENOMEM, "--proxy");
    ip = cut(copy, &port_text);
    if (parse_port(port_text, &port) < 0)
        return bad(text, "not a port", err);
    if (sockaddr_parse(&addr, ip, port) < 0)
        return bad(text, "not an IP address", err);
    if (!sockaddr_is_loopback(&addr) && !auth)
        return tp_error_set(err, -EINVAL,
                            "--proxy %s: others than this machine reach that "
                            "address: it needs --proxy-auth",
                            text);
    rc = build(o, &addr, auth, err);
    return rc < 0 ? rc : publish(o, exposed, bindings, err);
}

void proxy_option_release(struct proxy_option *o)
{
    json_object_put(o->session);
    free(o->at);
    *o = (struct proxy_option){0};
}

static const char *proxy_option_password(const struct proxy_option *o)
{
    return o->session ? json_get_str(o->session, "password", NULL) : NULL;
}

bool proxy_option_explain(const struct proxy_option *o, struct tp_error *err)
{
    if (!o->at || !strstr(err->text, o->at) ||
        (!strstr(err->text, "already in use") &&
         !strstr(err->text, "already allocated")))
        return false;
    tp_error_set(err, -EADDRINUSE,
                 "--proxy: %s is taken on this machine; choose another port",
                 o->at);
    return true;
}

bool proxy_option_published(struct json_object *bindings,
                            struct json_object *container)
{
    struct json_object *all = json_get(container, "HostConfig.PortBindings");
    struct json_object *asked = NULL, *there = NULL;
    char key[24];

    snprintf(key, sizeof(key), "%d/tcp", PROXY_PORT);
    json_object_object_get_ex(bindings, key, &asked);
    json_object_object_get_ex(all, key, &there);
    return asked && there && json_object_equal(asked, there);
}

void proxy_option_add_login(const struct proxy_option *o,
                            struct json_object *status)
{
    const char *password = proxy_option_password(o);
    struct json_object *proxy = json_get(status, "proxy"), *login;

    if (!password || !json_get(proxy, "address"))
        return;
    login = json_object_new_object();
    json_put_str(login, "user", PROXY_USER);
    json_put_str(login, "password", password);
    json_object_object_add(proxy, "login", login);
}

void proxy_option_report(const struct cli *cli, struct json_object *status)
{
    struct json_object *proxy = json_get(status, "proxy");

    if (!proxy)
        return;
    if (json_get(proxy, "error")) {
        cli_warn(cli, "no proxy: %s", json_get_str(proxy, "error", ""));
        return;
    }
    cli_print(cli, "Proxy (SOCKS 5 and HTTP): %s, PAC file: %s\n",
              json_get_str(proxy, "address", ""),
              json_get_str(proxy, "pac", ""));
    if (json_get(proxy, "login"))
        cli_print(cli, "Proxy's user and password: %s %s\n",
                  json_get_str(proxy, "login.user", ""),
                  json_get_str(proxy, "login.password", ""));
}
