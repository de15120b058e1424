#include "daemon/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/memstate.h"
#include "daemon/proxy.h"
#include "daemon/session_internal.h"

#define ASK_EVERY_MS   5000
#define FRESH_BEFORE_S 60 /* credentials are renewed so long before the end */
#define NAME_LETTERS   "abcdefghijklmnopqrstuvwxyz234567"

/* Members of the kept session beside those of SESSION (doc/control.md). */
#define SESSION_KEPT_NAME        "keptName"
#define SESSION_KEPT_ENGAGEMENTS "keptEngagements"

/* ---- states ---- */

static void format_progress(const struct session *s, char *text, size_t size)
{
    uint64_t now = uv_now(s->env.loop);

    switch (s->state) {
    case SESSION_CONNECTING:
        snprintf(text, size, "connecting to %s", s->config.url);
        break;
    case SESSION_WAITING:
        snprintf(text, size, "%s; trying again in %.1f s", s->error,
                 s->retry_ms > now ? (double)(s->retry_ms - now) / 1000 : 0.0);
        break;
    default:
        snprintf(text, size, "%s%s%s", session_state_name(s->state),
                 *s->error ? ": " : "", s->error);
    }
}

void session_notify(struct session *s)
{
    struct session_watcher *w, *next;
    char text[640];

    format_progress(s, text, sizeof(text));
    for (w = s->watchers; w; w = next) {
        next = w->next;
        w->changed_cb(w->arg, text);
    }
}

void session_enter(struct session *s, enum session_state state,
                   const char *code, const char *error)
{
    assert(session_state_may_follow(s->state, state));
    s->state = state;
    s->since = time(NULL);
    /* While a new attempt runs, the last reason stays visible. */
    if (state != SESSION_CONNECTING || !s->was_connected) {
        snprintf(s->code, sizeof(s->code), "%s", code ? code : "");
        snprintf(s->error, sizeof(s->error), "%s", error ? error : "");
    }
    log_write(error ? LOG_WARN : LOG_INFO, "session %s%s%s",
              session_state_name(state), error ? ": " : "", error ? error : "");
    session_notify(s);
}

enum session_state session_state(const struct session *s)
{
    return s->state;
}

const char *session_error_code(const struct session *s)
{
    return s->code;
}

const char *session_error_text(const struct session *s)
{
    return s->error;
}

void session_add_watcher(struct session *s, struct session_watcher *w)
{
    w->prev = NULL;
    w->next = s->watchers;
    if (s->watchers)
        s->watchers->prev = w;
    s->watchers = w;
}

void session_remove_watcher(struct session *s, struct session_watcher *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        s->watchers = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->prev = w->next = NULL;
}

/* ---- credentials ---- */

static void ask_helper(struct session *s)
{
    uint64_t now = uv_now(s->env.loop);

    if (!s->need || !s->need_cb)
        return;
    if (s->asked_ms && now - s->asked_ms < ASK_EVERY_MS) {
        uint64_t left = ASK_EVERY_MS - (now - s->asked_ms);

        if (!uv_is_active((uv_handle_t *)s->ask) ||
            uv_timer_get_due_in(s->ask) > left)
            uv_timer_start(s->ask, s->ask->timer_cb, left, 0);
        return;
    }
    s->asked_ms = now;
    *s->helper_error = '\0';
    s->need_cb(s->need_arg);
}

void session_need_credentials(struct session *s)
{
    if (!s->config.exec)
        return;
    s->need = true;
    ask_helper(s);
}

/* Credentials end soon, or the helper may be asked again. */
static void ask_cb(uv_timer_t *timer)
{
    session_need_credentials(timer->data);
}

static void watch_expiry(struct session *s)
{
    int64_t left = s->config.expires - FRESH_BEFORE_S - time(NULL);

    uv_timer_stop(s->ask);
    if (s->config.exec && s->config.expires > 0)
        uv_timer_start(s->ask, ask_cb, left > 0 ? (uint64_t)left * 1000 : 0, 0);
}

void session_set_helper(struct session *s, void (*need_cb)(void *arg),
                        void *arg)
{
    s->need_cb = need_cb;
    s->need_arg = arg;
    ask_helper(s);
}

static void keep(struct session *s)
{
    struct tp_error err = {0};

    if (memstate_save(s->env.state_fd, s->config.json, &err) < 0)
        log_warn("%s", err.text);
}

/* What was refused or late may go now. */
static void dial_now(struct session *s)
{
    s->attempts = 0;
    if (s->state == SESSION_WAITING || s->state == SESSION_REFUSED) {
        uv_timer_stop(s->retry);
        session_dial(s);
    }
}

int session_set_credentials(struct session *s, struct json_object *credentials,
                            struct tp_error *err)
{
    int rc;

    if (!s->config.json)
        return tp_error_set(err, -ENOENT, "there is no session");
    rc = session_config_set_credentials(&s->config, credentials, err);
    if (rc < 0)
        return rc;
    s->need = false;
    *s->helper_error = '\0';
    keep(s);
    watch_expiry(s);
    dial_now(s);
    return 0;
}

void session_helper_failed(struct session *s, const char *why)
{
    snprintf(s->helper_error, sizeof(s->helper_error),
             "no fresh credentials: %s", why);
    log_warn("%s", s->helper_error);
    if (s->state == SESSION_WAITING && !strcmp(s->code, "unauthorized")) {
        uv_timer_stop(s->retry);
        session_enter(s, SESSION_REFUSED, "unauthorized", s->helper_error);
    }
}

/* ---- life ---- */

static uv_timer_t *create_timer(struct session *s)
{
    uv_timer_t *timer = malloc(sizeof(*timer));

    if (timer) {
        uv_timer_init(s->env.loop, timer);
        timer->data = s;
    }
    return timer;
}

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static void destroy_timer(uv_timer_t *timer)
{
    if (timer)
        uv_close((uv_handle_t *)timer, free_handle_cb);
}

static void destroy_timers(struct session *s)
{
    destroy_timer(s->retry);
    destroy_timer(s->ask);
    destroy_timer(s->incoming_retry);
    destroy_timer(s->direct.retry);
}

struct session *session_create(const struct session_env *env)
{
    struct session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->env = *env;
    s->since = time(NULL);
    s->retry = create_timer(s);
    s->ask = create_timer(s);
    s->incoming_retry = create_timer(s);
    s->direct.retry = create_timer(s);
    if (s->retry && s->ask && s->incoming_retry && s->direct.retry) {
        s->ask->timer_cb = ask_cb;
        return s;
    }
    destroy_timers(s);
    free(s);
    return NULL;
}

static void make_name(char name[SESSION_NAME_LEN + 1])
{
    static const char letters[] = NAME_LETTERS;
    uint8_t random[SESSION_NAME_LEN];

    while (getrandom(random, sizeof(random), 0) != sizeof(random))
        ;
    for (size_t i = 0; i < SESSION_NAME_LEN; i++)
        name[i] = letters[random[i] & 31];
    name[SESSION_NAME_LEN] = '\0';
}

/* The name of an earlier tp-daemon's session: its engagements hang on it. */
static bool take_name(struct session *s, struct json_object *json)
{
    const char *kept = json_get_str(json, SESSION_KEPT_NAME, "");

    if (strlen(kept) != SESSION_NAME_LEN ||
        strspn(kept, NAME_LETTERS) != SESSION_NAME_LEN)
        return false;
    memcpy(s->name, kept, SESSION_NAME_LEN + 1);
    return true;
}

static struct json_object *session_kept(const struct session *s,
                                        const char *key)
{
    return s->config.json ? json_get(s->config.json, key) : NULL;
}

static void begin(struct session *s, struct session_config *config)
{
    struct json_object *kept =
        json_object_get(session_kept(s, SESSION_KEPT_ENGAGEMENTS));

    session_config_release(&s->config);
    s->config = *config;
    s->proxy_cluster.namespace = s->config.namespace;
    s->attempts = 0;
    s->need = false;
    *s->helper_error = '\0';
    json_put_str(s->config.json, SESSION_KEPT_NAME, s->name);
    if (kept)
        json_object_object_add(s->config.json, SESSION_KEPT_ENGAGEMENTS, kept);
    keep(s);
    watch_expiry(s);
}

/* The host's port for proxying, of a session that begins. One that goes on
 * does so without: its conversations are worth more, and the status says it. */
static int open_proxy(struct session *s, const struct session_config *config,
                      bool resumes, struct tp_error *err)
{
    struct json_object *proxy = json_get(config->json, "hostProxy");
    int rc;

    if (!s->env.proxy)
        return 0;
    proxy_close(s->env.proxy);
    rc = proxy ? proxy_open(s->env.proxy, proxy, err) : 0;
    if (rc < 0 && resumes)
        log_warn("%s", err->text);
    else if (rc < 0)
        proxy_close(s->env.proxy);
    return resumes ? 0 : rc;
}

static int start(struct session *s, struct json_object *json, bool resumes,
                 bool *already, struct tp_error *err)
{
    struct session_config config;
    int rc = session_config_parse(&config, json, err);
    bool fresh;

    if (rc < 0)
        return rc;
    *already = s->config.json && s->state != SESSION_REFUSED;
    if (*already && !session_config_same(&s->config, &config)) {
        session_config_release(&config);
        return tp_error_set(err, -EBUSY,
                            "%s already has a session with namespace %s of "
                            "context %s; `tp quit` ends it",
                            s->config.name, s->config.namespace,
                            s->config.context);
    }
    if (*already)
        session_config_keep_settings(&config, &s->config);
    if (s->config.json && !session_config_same(&s->config, &config))
        session_disconnect(s);
    fresh = !s->config.json;
    rc = *already ? 0 : open_proxy(s, &config, resumes, err);
    if (rc < 0) {
        session_config_release(&config);
        return rc;
    }
    if (fresh) {
        if (!take_name(s, json))
            make_name(s->name);
        s->reconnects = 0;
        s->was_connected = false;
    }
    begin(s, &config);
    if (fresh && s->engagements)
        s->engagements->begun_cb(s->engagements_arg,
                                 session_kept(s, SESSION_KEPT_ENGAGEMENTS));
    if (s->state == SESSION_IDLE)
        session_dial(s);
    else
        dial_now(s);
    return 0;
}

int session_connect(struct session *s, struct json_object *json, bool *already,
                    struct tp_error *err)
{
    if (json_object_is_type(json, json_type_object)) {
        json_object_object_del(json, SESSION_KEPT_NAME);
        json_object_object_del(json, SESSION_KEPT_ENGAGEMENTS);
    }
    return start(s, json, false, already, err);
}

void session_set_engagements(struct session *s,
                             const struct session_engagements *ops, void *arg)
{
    s->engagements = ops;
    s->engagements_arg = arg;
}

void session_keep_engagements(struct session *s, struct json_object *array)
{
    if (!s->config.json) {
        json_object_put(array);
        return;
    }
    json_object_object_add(s->config.json, SESSION_KEPT_ENGAGEMENTS, array);
    keep(s);
}

const char *session_namespace(const struct session *s)
{
    return s->config.json ? s->config.namespace : "";
}

struct json_object *session_volume_keys(const struct session *s)
{
    return json_get(s->config.json, "volumes");
}

void session_resume(struct session *s)
{
    cleanup_json struct json_object *json = memstate_load(s->env.state_fd);
    struct tp_error err = {0};
    bool already;

    if (!json)
        return;
    log_info("resuming the session of an earlier tp-daemon");
    if (start(s, json, true, &already, &err) < 0)
        log_warn("the session cannot be resumed: %s", err.text);
}

static void stop(struct session *s, bool keep_state)
{
    uv_timer_stop(s->retry);
    uv_timer_stop(s->ask);
    if (s->engagements && s->config.json)
        s->engagements->ended_cb(s->engagements_arg);
    if (s->env.proxy)
        proxy_close(s->env.proxy);
    session_drop_links(s);
    if (!keep_state)
        session_unapply(s);
    session_forget_cluster(s);
    session_config_release(&s->config);
    s->need = s->was_connected = false;
    *s->helper_error = '\0';
}

void session_disconnect(struct session *s)
{
    struct tp_error err = {0};

    if (s->state == SESSION_IDLE)
        return;
    stop(s, false);
    if (memstate_save(s->env.state_fd, NULL, &err) < 0)
        log_warn("%s", err.text);
    session_enter(s, SESSION_IDLE, NULL, NULL);
}

void session_destroy(struct session *s, bool keep_state)
{
    struct tp_error err = {0};

    if (!s)
        return;
    stop(s, keep_state);
    if (!keep_state && memstate_save(s->env.state_fd, NULL, &err) < 0)
        log_warn("%s", err.text);
    destroy_timers(s);
    free(s);
}
