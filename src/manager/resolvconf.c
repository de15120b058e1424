/* resolvconf.c - what a pod's resolv.conf(5) says of the cluster's DNS */
#include "manager/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

static int add_name(char *list[DNS_LIST_MAX], size_t *count, const char *name)
{
    if (*count == DNS_LIST_MAX || strlen(name) >= DNS_NAME_MAX)
        return 0;
    list[*count] = strdup(name);
    if (!list[*count])
        return -ENOMEM;
    (*count)++;
    return 0;
}

static void clear_names(char *list[DNS_LIST_MAX], size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free(list[i]);
    *count = 0;
}

void cluster_dns_release(struct cluster_dns *dns)
{
    clear_names(dns->search, &dns->search_count);
    clear_names(dns->options, &dns->option_count);
    memset(dns, 0, sizeof(*dns));
}

/* "svc.cluster.local" in the search list tells the domain. */
static void set_domain(struct cluster_dns *dns, char **names, size_t count)
{
    snprintf(dns->domain, sizeof(dns->domain), "cluster.local");
    for (size_t i = 0; i < count; i++) {
        if (!strncmp(names[i], "svc.", 4) && names[i][4]) {
            snprintf(dns->domain, sizeof(dns->domain), "%s", names[i] + 4);
            return;
        }
    }
}

/* True for DOMAIN, svc.DOMAIN and NS.svc.DOMAIN. */
static bool is_clusters(const struct cluster_dns *dns, const char *name)
{
    size_t len = strlen(name), domain = strlen(dns->domain);
    const char *dot = strchr(name, '.');

    if (len < domain || strcmp(name + len - domain, dns->domain) != 0)
        return false;
    if (len == domain)
        return true;
    if (!strncmp(name, "svc.", 4) && !strcmp(name + 4, dns->domain))
        return true;
    return dot && !strncmp(dot + 1, "svc.", 4) && !strcmp(dot + 5, dns->domain);
}

static int use_search(struct cluster_dns *dns, char *words)
{
    char *names[DNS_LIST_MAX], *save = NULL;
    size_t count = 0;
    int rc = 0;

    for (char *w = strtok_r(words, " \t", &save); w && count < DNS_LIST_MAX;
         w = strtok_r(NULL, " \t", &save)) {
        size_t len = strlen(w);

        if (len > 1 && w[len - 1] == '.')
            w[len - 1] = '\0';
        names[count++] = w;
    }
    set_domain(dns, names, count);
    clear_names(dns->search, &dns->search_count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!is_clusters(dns, names[i]))
            rc = add_name(dns->search, &dns->search_count, names[i]);
    }
    return rc;
}

static int use_options(struct cluster_dns *dns, char *words)
{
    char *save = NULL;
    int rc = 0;

    for (char *w = strtok_r(words, " \t", &save); w && rc == 0;
         w = strtok_r(NULL, " \t", &save))
        rc = add_name(dns->options, &dns->option_count, w);
    return rc;
}

static void use_nameserver(struct cluster_dns *dns, const char *word)
{
    union sockaddr_any addr;

    if (!dns->address[0] && sockaddr_parse(&addr, word, 53) == 0)
        snprintf(dns->address, sizeof(dns->address), "%.63s", word);
}

/* One line without its end; the keyword ends at white space. */
static int use_line(struct cluster_dns *dns, char *line)
{
    size_t len = strcspn(line, " \t");
    char *rest = line + len + strspn(line + len, " \t");

    line[len] = '\0';
    if (!strcmp(line, "nameserver"))
        use_nameserver(dns, strtok_r(rest, " \t", &rest) ?: "");
    else if (!strcmp(line, "search"))
        return use_search(dns, rest);
    else if (!strcmp(line, "options"))
        return use_options(dns, rest);
    return 0;
}

int cluster_dns_parse(struct cluster_dns *dns, const char *text,
                      struct tp_error *err)
{
    cleanup_free char *copy = strdup(text);
    char *save = NULL;
    int rc = copy ? 0 : -ENOMEM;

    memset(dns, 0, sizeof(*dns));
    snprintf(dns->domain, sizeof(dns->domain), "cluster.local");
    for (char *line = copy ? strtok_r(copy, "\r\n", &save) : NULL;
         line && rc == 0; line = strtok_r(NULL, "\r\n", &save))
        rc = use_line(dns, line);
    if (rc < 0) {
        cluster_dns_release(dns);
        return tp_error_errno(err, rc, "resolv.conf");
    }
    return 0;
}

int cluster_dns_set_search(struct cluster_dns *dns, const char *list)
{
    cleanup_free char *copy = strdup(list);
    char *save = NULL;
    int rc = copy ? 0 : -ENOMEM;

    clear_names(dns->search, &dns->search_count);
    for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w && rc == 0;
         w = strtok_r(NULL, ",", &save))
        rc = add_name(dns->search, &dns->search_count, w);
    return rc;
}

static void add_formatted(struct json_object *array, const char *prefix,
                          const char *name)
{
    char text[DNS_NAME_MAX + 80];

    snprintf(text, sizeof(text), "%.70s%s", prefix, name);
    json_object_array_add(array, json_object_new_string(text));
}

struct json_object *cluster_dns_to_json(const struct cluster_dns *dns,
                                        const char *ns)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *search = json_object_new_array();
    struct json_object *options = json_object_new_array();
    char prefix[80];

    snprintf(prefix, sizeof(prefix), "%.63s.svc.", ns);
    add_formatted(search, prefix, dns->domain);
    add_formatted(search, "svc.", dns->domain);
    add_formatted(search, "", dns->domain);
    for (size_t i = 0; i < dns->search_count; i++)
        add_formatted(search, "", dns->search[i]);
    for (size_t i = 0; i < dns->option_count; i++)
        add_formatted(options, "", dns->options[i]);
    json_put_str(obj, "address", dns->address);
    json_put_str(obj, "domain", dns->domain);
    json_object_object_add(obj, "search", search);
    json_object_object_add(obj, "options", options);
    return obj;
}
