/* check_cli.c - options, settings, published ports, the way to the API server
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/cli_internal.h"
#include "cli/client_config.h"
#include "cli/host_routes.h"
#include "cli/former.h"
#include "cli/common_options.h"
#include "cli/publish.h"
#include "cli/reach.h"
#include "cli/routing_check.h"
#include "cli/session.h"
#include "kube/kubeconfig_url.h"
#include "suite.h"
#include "tempdir.h"

#define MAX_WORDS 16

/* Parses "connect -n x" (words by blanks). */
static int parse(struct cli *cli, const char *line, struct tp_error *err)
{
    static char copy[512];
    static char *argv[MAX_WORDS + 2];
    char *rest = copy;
    int argc = 1;

    snprintf(copy, sizeof(copy), "%s", line);
    argv[0] = (char *)"tp";
    while (rest && argc < MAX_WORDS)
        argv[argc++] = strsep(&rest, " ");
    argv[argc] = NULL;
    return cli_parse(cli, argc, argv, err);
}

START_TEST(options_in_all_their_spellings)
{
    static const char *const lines[] = {
        "connect -n team --publish 80 -q", "connect -nteam --publish=80 -q",
        "-q connect --namespace team -p80", "connect -qn team -p=80",
        "connect -q --namespace=team -p 80"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct tp_error err = {0};
        struct cli cli;

        ck_assert_msg(parse(&cli, lines[i], &err) == 0, "%s: %s", lines[i],
                      err.text);
        ck_assert_str_eq(cli.command->name, "connect");
        ck_assert_str_eq(cli_get(&cli, "namespace"), "team");
        ck_assert_str_eq(cli_get(&cli, "publish"), "80");
        ck_assert(cli_is_quiet(&cli));
        cli_release(&cli);
    }
}
END_TEST

START_TEST(usage_errors_name_what_is_wrong)
{
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"connekt", "did you mean 'tp connect'"},
        {"zzzzzzz", "see 'tp help'"},
        {"config", "tp config view"},
        {"connect --nonsense", "--nonsense"},
        {"connect --publish", "needs a value"},
        {"connect --quiet=yes", "takes no value"},
        {"connect -n a -n b", "only once"},
        {"connect extra", "unexpected argument 'extra'"},
        {"completion", "usage: tp completion"},
        {"status --format yaml", "text, json"},
        {"connect --names x", "unknown option --names"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tp_error err = {0};
        struct cli cli;

        ck_assert_msg(parse(&cli, cases[i].line, &err) < 0, "%s",
                      cases[i].line);
        ck_assert_msg(strstr(err.text, cases[i].words) != NULL, "%s: %s",
                      cases[i].line, err.text);
        cli_release(&cli);
    }
}
END_TEST

START_TEST(usage_errors_have_the_form_that_was_asked_for)
{
    static const struct {
        const char *line;
        bool json;
    } cases[] = {
        {"connekt --format json", true},
        {"version --bogus --format=json", true},
        {"--format json connekt", true},
        {"connekt", false},
        {"connekt --format text", false},
        {"connekt -- --format json", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tp_error err = {0};
        struct cli cli;

        ck_assert_int_lt(parse(&cli, cases[i].line, &err), 0);
        ck_assert_msg(cli_is_json(&cli) == cases[i].json, "%s", cases[i].line);
        cli_release(&cli);
    }
}
END_TEST

START_TEST(repeatable_options_and_words_after_dashes)
{
    struct tp_error err = {0};
    struct cli cli;

    ck_assert_int_eq(parse(&cli, "connect -p 1 -p 2", &err), 0);
    ck_assert_uint_eq(cli_count(&cli, "publish"), 2);
    ck_assert_str_eq(cli_get_nth(&cli, "publish", 0), "1");
    ck_assert_str_eq(cli_get(&cli, "publish"), "2");
    ck_assert_ptr_null(cli_get_nth(&cli, "publish", 2));
    cli_release(&cli);
    ck_assert_int_eq(parse(&cli, "helm -n ns upgrade --set a=b -- -x", &err),
                     0);
    ck_assert_str_eq(cli_get(&cli, "namespace"), "ns");
    ck_assert_uint_eq(cli_arg_count(&cli), 4);
    ck_assert_str_eq(cli_arg(&cli, 1), "--set");
    ck_assert_str_eq(cli_arg(&cli, 3), "-x");
    cli_release(&cli);
    ck_assert_int_eq(parse(&cli, "config view --format json", &err), 0);
    ck_assert_str_eq(cli.command->name, "config view");
    ck_assert(cli_is_json(&cli));
    cli_release(&cli);
}
END_TEST

/* Every row of every table can be explained, and no name is taken twice. */
START_TEST(tables_are_sound)
{
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_command *cmd = cli_commands[i];

        ck_assert_ptr_nonnull(cmd->summary);
        ck_assert_ptr_nonnull(cmd->usage);
        for (const struct cli_option *o = cmd->options; o && o->name; o++) {
            ck_assert_ptr_nonnull(o->help);
            for (const struct cli_option *p = cli_global_options; p->name; p++)
                ck_assert_str_ne(o->name, p->name);
            for (const struct cli_option *p = cmd->options; p < o; p++) {
                ck_assert_str_ne(o->name, p->name);
                ck_assert(!o->letter || o->letter != p->letter);
            }
        }
    }
}
END_TEST

/* `tp config --help`: a first word that has commands of its own. */
START_TEST(groups_have_help)
{
    struct tp_error err = {0};
    struct cli cli;

    ck_assert_int_eq(parse(&cli, "config --help", &err), 0);
    ck_assert_ptr_null(cli.command);
    ck_assert_str_eq(cli.group, "config");
    ck_assert(cli.help);
    cli_release(&cli);
    ck_assert_int_lt(parse(&cli, "confg --help", &err), 0);
    cli_release(&cli);
}
END_TEST

/* The rule that is violated is named. */
START_TEST(container_names_say_what_is_wrong)
{
    static const struct {
        const char *line, *rule;
    } bad[] = {
        {"status --name=a", "at least two"},
        {"status --name=-x", "begin with"},
        {"status --name=a/b", "only letters"},
    };
    struct tp_error err = {0};
    struct cli cli;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(parse(&cli, bad[i].line, &err), 0);
        ck_assert(!common_name(&cli, &err));
        ck_assert_msg(strstr(err.text, bad[i].rule), "%s", err.text);
        cli_release(&cli);
    }
}
END_TEST

START_TEST(container_names)
{
    static const char *const bad[] = {"-x", ".x", "a", "a/b", "x y", "\xc3"};
    struct tp_error err = {0};
    char line[64];
    struct cli cli;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strchr(bad[i], ' '))
            continue;
        snprintf(line, sizeof(line), "status --name=%s", bad[i]);
        ck_assert_int_eq(parse(&cli, line, &err), 0);
        ck_assert_msg(!common_name(&cli, &err), "%s", bad[i]);
        cli_release(&cli);
    }
    ck_assert_int_eq(parse(&cli, "status --name my_tp-1.x", &err), 0);
    ck_assert_str_eq(common_name(&cli, &err), "my_tp-1.x");
    cli_release(&cli);
}
END_TEST

/* ---- settings ---- */

static char dir[64];

static void setup(void)
{
    tempdir_make(dir);
    setenv("XDG_CONFIG_HOME", dir, 1);
}

static void teardown(void)
{
    tempdir_remove(dir);
}

/* Ids of former containers, of this session only, and not for ever. */
START_TEST(former_containers_are_remembered)
{
    char id[65], first[65];

    setenv("XDG_STATE_HOME", dir, 1);
    memset(id, 'a', 64);
    id[64] = '\0';
    ck_assert(!former_has("one", id));
    former_note("one", id);
    former_note("one", id);
    former_note("one", "short");
    ck_assert(former_has("one", id) && !former_has("two", id));
    ck_assert(!former_has("one", "") && !former_has("one", "short"));
    memcpy(first, id, sizeof(first));
    for (int i = 0; i < 64; i++) {
        snprintf(id, sizeof(id), "%064d", i);
        former_note("one", id);
    }
    ck_assert(former_has("one", id) && !former_has("one", first));
    unsetenv("XDG_STATE_HOME");
}
END_TEST

static void put_config(const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/tp", dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/tp/config.yml", dir);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static const char *value(const struct client_config *c, enum config_key key)
{
    return json_object_to_json_string_ext(c->keys[key].value,
                                          JSON_C_TO_STRING_NOSLASHESCAPE);
}

START_TEST(the_later_layer_wins)
{
    static const char *const flag[] = {"10.3.0.0/16,fd00::/64", "10.4.0.0/16"};
    cleanup_json struct json_object *central = json_tokener_parse(
        "{\"logLevel\":\"warn\",\"connect\":{\"timeout\":\"9s\"},"
        "\"managerNamespace\":\"evil\",\"newKey\":1,"
        "\"routing\":{\"alsoProxy\":[\"10.1.0.0/16\"],"
        "\"neverProxy\":[\"nonsense\"]}}");
    cleanup_json struct json_object *extension =
        json_tokener_parse("{\"connect\":{\"timeout\":\"2m\"}}");
    cleanup_json struct json_object *local = NULL;
    struct client_config c;
    struct tp_error err = {0};

    put_config("logLevel: debug\nrouting:\n  alsoProxy: [10.2.0.0/16]\n");
    ck_assert_int_eq(client_config_init(&c, &err), 0);
    ck_assert_int_eq(
        client_config_apply(&c, central, CONFIG_FROM_MANAGER, "manager", &err),
        0);
    ck_assert_str_eq(value(&c, CONFIG_LOG_LEVEL), "\"warn\"");
    ck_assert_str_eq(value(&c, CONFIG_MANAGER_NAMESPACE), "\"tp-system\"");
    ck_assert_str_eq(value(&c, CONFIG_NEVER_PROXY), "[]");
    ck_assert_msg(client_config_read_file(&c, &err) == 0, "%s", err.text);
    ck_assert_str_eq(value(&c, CONFIG_ALSO_PROXY), "[\"10.2.0.0/16\"]");
    ck_assert_int_eq(client_config_apply(&c, extension, CONFIG_FROM_KUBECONFIG,
                                         "extension", &err),
                     0);
    ck_assert_int_eq(client_config_ms(&c, CONFIG_CONNECT_TIMEOUT), 120000);
    ck_assert_int_eq(
        client_config_set(&c, CONFIG_ALSO_PROXY, flag, 2, "--also-proxy", &err),
        0);
    ck_assert_str_eq(value(&c, CONFIG_ALSO_PROXY),
                     "[\"10.3.0.0/16\",\"fd00::/64\",\"10.4.0.0/16\"]");
    ck_assert_int_eq(c.keys[CONFIG_ALSO_PROXY].source, CONFIG_FROM_FLAG);
    ck_assert_int_eq(c.keys[CONFIG_LOG_LEVEL].source, CONFIG_FROM_FILE);
    local = client_config_local(&c);
    ck_assert_str_eq(json_get_str(local, "logLevel", ""), "debug");
    ck_assert_str_eq(json_get_str(local, "connect.timeout", ""), "2m");
    ck_assert_ptr_null(json_get(local, "routing.neverProxy"));
    client_config_release(&c);
}
END_TEST

START_TEST(the_users_file_is_strict)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"nonsense: 1\n", "'nonsense'"},
        {"dns: {exclude: [a]}\n", "'dns.exclude'"},
        {"dns: [a]\n", "must be a mapping"},
        {"- a\n", "must be a mapping"},
        {"connect: {timeout: 5}\n", "a time like 30s"},
        {"connect: {timeout: 5parsecs}\n", "a time like 30s"},
        {"connect: {timeout: 1h}\n", "100ms to 10m"},
        {"logLevel: loud\n", "error, warn, info or debug"},
        {"routing: {alsoProxy: 10.0.0.0/8}\n", "a list of subnets"},
        {"routing: {alsoProxy: [10.0.0.1/8]}\n", "10.0.0.1/8"},
        {"dns: {suffixes: [a, 7]}\n", "a list of domain names"},
        {"dns: {mappings: [a]}\n", "NAME=NAME or NAME=ADDRESS"},
        {"dns: {mappings: ['a=b c']}\n", "a=b c"},
        {"dns: {mappedNamespaces: [A_B]}\n", "a list of namespaces"},
        {"routing: {vnat: [some]}\n", "'off', or a list of subnets"},
        {"managerNamespace: A_B\n", "name of a namespace"},
        {"logLevel: info\nlogLevel: warn\n", "given twice"},
        {"logLevel: ~\n", "logLevel"},
        {"a: [\n", "line "},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client_config c;
        struct tp_error err = {0};

        put_config(cases[i].text);
        ck_assert_int_eq(client_config_init(&c, &err), 0);
        ck_assert_msg(client_config_read_file(&c, &err) < 0, "%s",
                      cases[i].text);
        ck_assert_msg(strstr(err.text, "config.yml") != NULL, "%s", err.text);
        ck_assert_msg(strstr(err.text, cases[i].words) != NULL, "%s: %s",
                      cases[i].text, err.text);
        client_config_release(&c);
    }
    put_config("");
}
END_TEST

START_TEST(settings_that_contradict_each_other_are_refused)
{
    static const struct {
        const char *text, *words; /* NULL: they do not */
    } cases[] = {
        {"alsoProxy: [10.1.0.0/16]\n  neverProxy: [10.1.0.0/24]\n", NULL},
        {"alsoProxy: [10.1.0.0/16]\n  neverProxy: [10.1.0.0/16]\n",
         "routing.neverProxy 10.1.0.0/16"},
        {"vnat: ['off']\n", NULL},
        {"vnat: ['off', all]\n", "goes with nothing else"},
        {"vnat: [all, 10.9.0.0/16]\n", NULL},
        {"vnat: [10.9.0.0/16]\n  allowConflictingSubnets: [10.9.0.0/16]\n",
         "contradict"},
        {"virtualSubnets: [10.0.0.0/8]\n  alsoProxy: [10.9.0.0/16]\n",
         "routing.virtualSubnets 10.0.0.0/8"},
        {"virtualSubnets: [198.18.0.0/15]\n  vnat: [pods]\n", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client_config c;
        struct tp_error err = {0};
        char text[300];
        int rc;

        snprintf(text, sizeof(text), "routing:\n  %s", cases[i].text);
        put_config(text);
        ck_assert_int_eq(client_config_init(&c, &err), 0);
        ck_assert_msg(client_config_read_file(&c, &err) == 0, "%s", err.text);
        rc = routing_check(&c, &err);
        ck_assert_msg((rc < 0) == (cases[i].words != NULL), "%s", text);
        if (cases[i].words)
            ck_assert_msg(strstr(err.text, cases[i].words) != NULL, "%s",
                          err.text);
        client_config_release(&c);
    }
    put_config("");
}
END_TEST

START_TEST(routes_of_the_host_are_read)
{
    static const struct {
        const char *line, *net; /* NULL: left out */
    } v4[] = {
        {"tun0\t0000000A\t0101A8C0\t0003\t0\t0\t50\t000000FF\t0\t0\t0",
         "10.0.0.0/8"},
        {"eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0", NULL},
        {"tun0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0", NULL},
        {"lo\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0", NULL},
        {"*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0", NULL},
        {"eth0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0", NULL},
        {"Iface\tDestination\tGateway\tFlags", NULL},
        {"", NULL},
    };
    static const struct {
        const char *line, *net;
    } v6[] = {
        {"fd430000000000000000000000000000 40 "
         "00000000000000000000000000000000 00 "
         "00000000000000000000000000000000 00000100 00000001 00000000 00000001 "
         "    tun0",
         "fd43::/64"},
        {"fe800000000000000000000000000000 40 "
         "00000000000000000000000000000000 00 "
         "00000000000000000000000000000000 00000100 00000001 00000000 00000001 "
         "    eth0",
         NULL},
        {"fd43 40", NULL},
    };
    struct subnet net;
    char text[SUBNET_TEXT];

    for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
        bool found = host_routes_parse_v4(v4[i].line, &net);

        ck_assert_msg(found == (v4[i].net != NULL), "%s", v4[i].line);
        if (found)
            ck_assert_str_eq(subnet_format(&net, text), v4[i].net);
    }
    for (size_t i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
        bool found = host_routes_parse_v6(v6[i].line, &net);

        ck_assert_msg(found == (v6[i].net != NULL), "%s", v6[i].line);
        if (found)
            ck_assert_str_eq(subnet_format(&net, text), v6[i].net);
    }
}
END_TEST

/* Whether the schema of the chart marks client.GROUP.MEMBER as central. */
static bool schema_marks(struct json_object *schema, const char *name)
{
    struct json_object *obj = json_get(schema, "properties.client");
    cleanup_free char *copy = strdup(name);
    char *rest = copy;

    for (char *part; obj && (part = strsep(&rest, "."));)
        obj = json_get(json_get(obj, "properties"), part);
    return json_get_bool(obj, "x-tp-central", false);
}

START_TEST(what_is_central_is_what_the_chart_says)
{
    const char *top = getenv("srcdir");
    cleanup_json struct json_object *schema = NULL;
    char path[512];

    snprintf(path, sizeof(path), "%s/chart/tp/values.schema.json",
             top ? top : "..");
    schema = json_object_from_file(path);
    ck_assert_msg(schema != NULL, "%s", path);
    for (unsigned i = 0; i < CONFIG_KEYS; i++) {
        enum config_key key = (enum config_key)i;

        ck_assert_msg(client_config_is_central(key) ==
                          schema_marks(schema, client_config_key_name(key)),
                      "%s", client_config_key_name(key));
    }
}
END_TEST

START_TEST(durations)
{
    ck_assert_int_eq(client_config_parse_duration("250ms"), 250);
    ck_assert_int_eq(client_config_parse_duration("30s"), 30000);
    ck_assert_int_eq(client_config_parse_duration("2h"), 7200000);
    ck_assert_int_eq(client_config_parse_duration("30"), -1);
    ck_assert_int_eq(client_config_parse_duration("-1s"), -1);
    ck_assert_int_eq(client_config_parse_duration("9999999999s"), -1);
    ck_assert_int_eq(client_config_parse_duration("s"), -1);
}
END_TEST

/* ---- published ports ---- */

START_TEST(published_ports_as_for_docker)
{
    static const struct {
        const char *text, *bindings; /* NULL: refused */
    } cases[] = {
        {"80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}"},
        {"8080:80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}"},
        {"127.0.0.1:8080:80/udp",
         "{\"80/udp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]}"},
        {"127.0.0.1::80",
         "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}"},
        {"127.0.0.1:0:80",
         "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}"},
        {"[::1]:1:2", "{\"2/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"1\"}]}"},
        {"10-11:20-21", "{\"20/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"10\"}],"
                        "\"21/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"11\"}]}"},
        {"10-12:20", "{\"20/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"10-12\"}]}"},
        {"10-12:20-21", NULL},
        {"", NULL},
        {"0", NULL},
        {"65536", NULL},
        {"a:80", NULL},
        {"80/icmp", NULL},
        {"1.2.3:80:80", NULL},
        {"[::1:80:80", NULL},
        {"90-80", NULL},
        {"1:2:3:4", NULL},
        {"80x", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_json struct json_object *exposed = json_object_new_object();
        cleanup_json struct json_object *bindings = json_object_new_object();
        struct tp_error err = {0};
        int rc = publish_parse(cases[i].text, exposed, bindings, &err);

        ck_assert_msg((rc == 0) == (cases[i].bindings != NULL), "'%s': %s",
                      cases[i].text, err.text);
        if (rc == 0)
            ck_assert_str_eq(json_object_to_json_string_ext(
                                 bindings, JSON_C_TO_STRING_NOSLASHESCAPE),
                             cases[i].bindings);
    }
}
END_TEST

START_TEST(names_of_hosts)
{
    static const char *const good[] = {"a:1.2.3.4", "a.b-c:::1", "x_y:fd00::1",
                                       "h:host-gateway"};
    static const char *const bad[] = {"",        "a",          ":1.2.3.4",
                                      "a:",      "a:b",        "a b:1",
                                      "a:1.2.3", "-a:1.2.3.4", "a\nb:1.2.3.4"};
    char name[65] = "";

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(publish_host_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!publish_host_valid(bad[i]), "%s", bad[i]);
    memset(name, 'a', 64);
    ck_assert(!publish_hostname_valid(name));
    ck_assert(publish_hostname_valid(name + 1));
    ck_assert(!publish_hostname_valid("x y"));
    ck_assert(!publish_hostname_valid(""));
    ck_assert(!publish_hostname_valid("-x"));
}
END_TEST

/* ---- the way to the API server ---- */

#define CONTAINERS                                                             \
    "[{\"Ports\":[{\"PublicPort\":9,\"PrivatePort\":6443,\"Type\":\"udp\"}]}," \
    "{\"Ports\":[{\"IP\":\"127.0.0.1\",\"PublicPort\":9,\"PrivatePort\":6443," \
    "\"Type\":\"tcp\"}],\"NetworkSettings\":{\"Networks\":{\"bridge\":{"       \
    "\"IPAddress\":\"172.17.0.9\"},\"kind\":{\"IPAddress\":\"172.18.0.2\"}}}}" \
    ","                                                                        \
    "{\"Ports\":[{\"PublicPort\":8,\"PrivatePort\":443,\"Type\":\"tcp\"}],"    \
    "\"NetworkSettings\":{\"Networks\":{\"bridge\":{\"IPAddress\":"            \
    "\"172.17.0.3\"}}}}]"
#define NETWORKS                                                               \
    "[{\"Name\":\"host\",\"IPAM\":{\"Config\":null}},"                         \
    "{\"Name\":\"bridge\",\"Driver\":\"bridge\",\"Internal\":false,\"IPAM\":{" \
    "\"Config\":[{\"Subnet\":"                                                 \
    "\"172.17.0.0/16\"}]}},{\"Name\":\"kind\",\"Driver\":\"bridge\","          \
    "\"Internal\":false,\"IPAM\":{\"Config\":[{"                               \
    "\"Subnet\":\"fc00:f853::/64\"},{\"Subnet\":\"172.18.0.0/16\"}]}},"        \
    "{\"Name\":\"closed\",\"Driver\":\"bridge\",\"Internal\":true,"            \
    "\"IPAM\":{\"Config\":[{\"Subnet\":\"172.19.0.0/16\"}]}}]"

START_TEST(the_way_to_the_api_server)
{
    static const struct {
        const char *host, *address;
        unsigned short port;
        const char *to; /* NULL: refused */
        unsigned short to_port;
        const char *network;
        bool sole;
    } cases[] = {
        {"127.0.0.1", NULL, 9, "172.18.0.2", 6443, "kind", true},
        {"localhost", NULL, 9, "172.18.0.2", 6443, "kind", true},
        {"::1", NULL, 8, "172.17.0.3", 443, NULL, false},
        {"127.0.0.1", NULL, 7, NULL, 0, NULL, false},
        {"172.18.0.2", NULL, 6443, "172.18.0.2", 6443, "kind", true},
        {"172.19.0.2", NULL, 6443, "172.19.0.2", 6443, "closed", false},
        {"fc00:f853::2", NULL, 6443, "fc00:f853::2", 6443, "kind", true},
        {"172.17.0.5", NULL, 6443, "172.17.0.5", 6443, NULL, false},
        {"203.0.113.1", NULL, 443, "203.0.113.1", 443, NULL, false},
        {"api.corp.test", NULL, 443, "api.corp.test", 443, NULL, false},
        {"corp.test", "203.0.113.1", 443, "corp.test", 443, NULL, false},
        {"kind.test", "127.0.0.1", 9, "172.18.0.2", 6443, "kind", true},
        {"kind.test", "172.18.0.2", 6443, "172.18.0.2", 6443, "kind", true},
        {"tunnel.test", "127.0.0.1", 7, NULL, 0, NULL, false},
    };
    cleanup_json struct json_object *containers =
        json_tokener_parse(CONTAINERS);
    cleanup_json struct json_object *networks = json_tokener_parse(NETWORKS);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tp_error err = {0};
        struct reach r;
        struct reach_target target = {"API server", cases[i].host,
                                      cases[i].address, cases[i].port};
        int rc = reach_choose(&r, containers, networks, &target, &err);

        ck_assert_int_eq(rc == 0, cases[i].to != NULL);
        ck_assert_pstr_eq(r.host, cases[i].to);
        ck_assert_pstr_eq(r.network, cases[i].network);
        ck_assert_int_eq(r.sole, cases[i].sole);
        if (rc == 0)
            ck_assert_uint_eq(r.port, cases[i].to_port);
        else
            ck_assert_ptr_nonnull(strstr(err.text, "no container publishes"));
        reach_release(&r);
    }
}
END_TEST

START_TEST(proxies_are_split)
{
    static const struct {
        const char *url, *host;
        unsigned short port;
        bool tls;
        const char *authorization;
    } cases[] = {
        {"http://p", "p", 80, false, NULL},
        {"http://p:3128/", "p", 3128, false, NULL},
        {"https://p", "p", 443, true, NULL},
        {"http://[fd00::1]", "fd00::1", 80, false, NULL},
        {"http://u:p%40ss@p:1", "p", 1, false, "Basic dTpwQHNz"},
        {"http://u@p", "p", 80, false, "Basic dTo="},
        {"http://", NULL, 0, false, NULL},
        {"socks5://p", NULL, 0, false, NULL},
        {"http://u%0@p", NULL, 0, false, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tp_error err = {0};
        struct kube_proxy p;
        int rc = kube_proxy_split(cases[i].url, &p, &err);

        ck_assert_msg((rc == 0) == (cases[i].host != NULL), "%s", cases[i].url);
        if (rc == 0) {
            ck_assert_str_eq(p.host, cases[i].host);
            ck_assert_uint_eq(p.port, cases[i].port);
            ck_assert_int_eq(p.tls, cases[i].tls);
            ck_assert_pstr_eq(p.authorization, cases[i].authorization);
        }
        kube_proxy_release(&p);
    }
}
END_TEST

/* The object that doc/control.md calls SESSION. */
START_TEST(session_has_what_the_daemon_needs)
{
    static const char text[] =
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:9/p'}}]\n"
        "users: [{name: u, user: {token: secret, as: bob, as-groups: [g]}}]\n";
    struct kube_select sel = {0};
    struct kube_context kube;
    struct client_config config;
    struct reach reach = {.host = (char *)"172.18.0.2", .port = 6443};
    struct session_input in = {
        .name = "n", .kube = &kube, .config = &config, .reach = &reach};
    cleanup_json struct json_object *session = NULL;
    struct tp_error err = {0};

    unsetenv("HTTPS_PROXY");
    unsetenv("https_proxy");
    ck_assert_msg(
        kube_context_parse(&kube, &sel, text, sizeof(text) - 1, "/", &err) == 0,
        "%s", err.text);
    ck_assert_int_eq(client_config_init(&config, &err), 0);
    session = session_build(&in, &err);
    ck_assert_msg(session != NULL, "%s", err.text);
    ck_assert_str_eq(json_get_str(session, "server.host", ""), "172.18.0.2");
    ck_assert_int_eq(json_get_int(session, "server.port", 0), 6443);
    ck_assert_str_eq(json_get_str(session, "server.serverName", ""),
                     "127.0.0.1");
    ck_assert_str_eq(json_get_str(session, "server.path", ""), "/p");
    ck_assert_str_eq(json_get_str(session, "token", ""), "secret");
    ck_assert_str_eq(json_get_str(session, "impersonate.user", ""), "bob");
    ck_assert_str_eq(json_get_str(session, "managerNamespace", ""),
                     "tp-system");
    ck_assert_ptr_null(json_get(session, "exec"));
    ck_assert_ptr_null(json_get(session, "alsoProxy"));
    client_config_release(&config);
    kube_context_release(&kube);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli");
    TCase *tc = tcase_create("cli"), *settings = tcase_create("settings");

    tcase_add_test(tc, options_in_all_their_spellings);
    tcase_add_test(tc, usage_errors_name_what_is_wrong);
    tcase_add_test(tc, usage_errors_have_the_form_that_was_asked_for);
    tcase_add_test(tc, repeatable_options_and_words_after_dashes);
    tcase_add_test(tc, tables_are_sound);
    tcase_add_test(tc, container_names);
    tcase_add_test(tc, container_names_say_what_is_wrong);
    tcase_add_test(tc, groups_have_help);
    tcase_add_test(tc, what_is_central_is_what_the_chart_says);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, published_ports_as_for_docker);
    tcase_add_test(tc, names_of_hosts);
    tcase_add_test(tc, the_way_to_the_api_server);
    tcase_add_test(tc, proxies_are_split);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(settings, setup, teardown);
    tcase_add_test(settings, former_containers_are_remembered);
    tcase_add_test(settings, the_later_layer_wins);
    tcase_add_test(settings, the_users_file_is_strict);
    tcase_add_test(settings, settings_that_contradict_each_other_are_refused);
    tcase_add_test(settings, routes_of_the_host_are_read);
    tcase_add_test(settings, session_has_what_the_daemon_needs);
    suite_add_tcase(s, settings);
    return suite_run(s);
}
