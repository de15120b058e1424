/* What the agent is told: its configuration (the first byte is even), a
 * container's variables (1 mod 4), a replica's engagements (3 mod 4). */
#include <stdlib.h>
#include <string.h>

#include "agent/engaged.h"
#include "agent/environment.h"
#include "agent/settings.h"
#include "base/json.h"

#define VARIABLES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_settings(const char *text)
{
    struct settings s;

    if (settings_parse(&s, text, NULL) == 0) {
        if (s.path.n_ports > AGENT_PORTS_MAX ||
            s.container_count > SETTINGS_CONTAINERS_MAX)
            abort();
        for (size_t i = 0; i < s.path.n_ports; i++) {
            if (s.ports[i].port == 0 || s.ports[i].listen == 0)
                abort();
        }
    }
    settings_release(&s);
}

/* Lines: "NAME=VALUE"; the first one is the list of names. */
static void check_environment(char *text)
{
    char *variables[VARIABLES_MAX + 1] = {0}, *line = strtok(text, "\n");
    struct json_object *names = json_object_new_array(), *exclude, *answer;
    struct environment_source source = {
        .environ = variables, .names = names, .hostname = "pod"};
    size_t n = 0;

    for (size_t i = 0; line && i < strlen(line); i += 2) {
        char name[] = {line[i], line[i + 1], '\0'};

        json_object_array_add(names, json_object_new_string(name));
    }
    while (line && n < VARIABLES_MAX && (line = strtok(NULL, "\n")))
        variables[n++] = line;
    exclude = json_tokener_parse("[\"*SECRET*\",\"X?\"]");
    source.exclude = exclude;
    answer = environment_build(&source, NULL);
    if (answer) {
        const char *out = json_object_to_json_string(answer);
        struct json_object *again = json_tokener_parse(out);

        if (!again || strstr(out, "\"ASECRET\":"))
            abort();
        json_object_put(again);
    }
    json_object_put(answer);
    json_object_put(names);
    json_object_put(exclude);
}

static void check_engagements(const char *text, size_t len)
{
    struct json_object *event = json_parse_text(text, len, NULL);
    struct engaged_entry merged[2 * ENGAGED_MAX];
    struct engaged list = {0};
    uint64_t clock = 0;
    size_t n = 0;

    for (int i = 0; event && i < 2; i++) {
        if (engaged_update(&list, event, NULL, &clock) < 0)
            abort();
        n = engaged_merge(&list, merged, n);
    }
    if (n != list.n)
        abort();
    engaged_clear(&list);
    json_object_put(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0)
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    if (data[0] % 2 == 0)
        check_settings(text);
    else if (data[0] % 4 == 1)
        check_environment(text);
    else
        check_engagements(text, strlen(text));
    free(text);
    return 0;
}
