/* check_engine.c - finding the engine, its framing, and the real one's API
 *
 * The tests of the real engine are left out, and say so, where none answers. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/archive.h"
#include "engine/engine.h"
#include "engine/exec.h"
#include "engine/frames.h"
#include "engine/target.h"
#include "suite.h"
#include "tempdir.h"

#define IMAGE     "tp-cli-check:1"
#define CONTAINER "tp-cli-check"

static char dir[64];

static void setup(void)
{
    static const char *const unset[] = {
        "DOCKER_HOST",      "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS",
        "DOCKER_CERT_PATH", "DOCKER_CONFIG",  "XDG_RUNTIME_DIR"};

    for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
        unsetenv(unset[i]);
    tempdir_make(dir);
    setenv("HOME", dir, 1);
}

static void run_shell(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static void run_shell(const char *fmt, ...)
{
    char command[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(command, sizeof(command), fmt, ap);
    va_end(ap);
    ck_assert_msg(system(command) == 0, "%s", command);
}

static void teardown(void)
{
    tempdir_remove(dir);
}

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

START_TEST(addresses_are_parsed)
{
    static const struct {
        const char *url;
        enum engine_kind kind;
        const char *host, *path, *user;
        unsigned port;
    } cases[] = {
        {"unix:///run/d.sock", ENGINE_UNIX, NULL, "/run/d.sock", NULL, 0},
        {"tcp://h:2375", ENGINE_TCP, "h", NULL, NULL, 2375},
        {"tcp://[fd00::1]:99/", ENGINE_TCP, "fd00::1", NULL, NULL, 99},
        {"https://h", ENGINE_TLS, "h", NULL, NULL, 0},
        {"ssh://me@h:22/run/x.sock", ENGINE_SSH, "h", "/run/x.sock", "me", 22},
        {"ssh://h", ENGINE_SSH, "h", NULL, NULL, 0},
    };
    static const char *const bad[] = {
        "npipe:////./pipe/docker", "unix://relative", "tcp://h:0",
        "tcp://h:99999",           "tcp://",          "tcp://h/path",
        "ssh://-oProxyCommand=x",  "ssh://-l@h",      "tcp://[::1]x:3",
        "/var/run/docker.sock",    "tcp://h:1x"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct engine_target t;
        struct tp_error err = {0};

        ck_assert_msg(engine_target_parse(&t, cases[i].url, &err) == 0, "%s",
                      err.text);
        ck_assert_int_eq(t.kind, cases[i].kind);
        ck_assert_pstr_eq(t.host, cases[i].host);
        ck_assert_pstr_eq(t.path, cases[i].path);
        ck_assert_pstr_eq(t.user, cases[i].user);
        ck_assert_uint_eq(t.port, cases[i].port);
        engine_target_release(&t);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct engine_target t;
        struct tp_error err = {0};

        ck_assert_msg(engine_target_parse(&t, bad[i], &err) < 0, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(err.text, bad[i]));
        engine_target_release(&t);
    }
}
END_TEST

static void expect_found(const char *url, const char *origin,
                         enum engine_kind kind)
{
    struct engine_target t;
    struct tp_error err = {0};

    ck_assert_msg(engine_target_find(&t, &err) == 0, "%s", err.text);
    ck_assert_str_eq(t.url, url);
    ck_assert_pstr_eq(t.origin, origin);
    ck_assert_int_eq(t.kind, kind);
    engine_target_release(&t);
}

/* sha256("far"), sha256("plain"): the names of the directories. */
static void make_context(const char *name, const char *meta)
{
    run_shell("h=$(printf %%s %s | sha256sum | cut -d' ' -f1); "
              "mkdir -p %s/.docker/contexts/meta/$h && "
              "printf '%%s' '%s' >%s/.docker/contexts/meta/$h/meta.json",
              name, dir, meta, dir);
}

START_TEST(the_environment_and_contexts_choose_the_engine)
{
    struct engine_target t;
    struct tp_error err = {0};

    run_shell("mkdir -p %s/.docker", dir);
    make_context("far", "{\"Name\":\"far\",\"Endpoints\":{\"docker\":{\"Host\":"
                        "\"tcp://far:2376\"}}}");
    run_shell("h=$(printf %%s far | sha256sum | cut -d' ' -f1); "
              "d=%s/.docker/contexts/tls/$h/docker; mkdir -p $d; "
              "touch $d/ca.pem $d/cert.pem $d/key.pem",
              dir);
    make_context("near", "{\"Endpoints\":{\"docker\":{\"Host\":"
                         "\"unix:///near.sock\"}}}");
    put(".docker/config.json", "{\"currentContext\":\"near\"}");
    expect_found("unix:///near.sock", "Docker context 'near'", ENGINE_UNIX);
    setenv("DOCKER_CONTEXT", "far", 1);
    ck_assert_int_eq(engine_target_find(&t, &err), 0);
    ck_assert_int_eq(t.kind, ENGINE_TLS);
    ck_assert_ptr_nonnull(strstr(t.key_file, "/docker/key.pem"));
    engine_target_release(&t);
    setenv("DOCKER_CONTEXT", "gone", 1);
    ck_assert_int_eq(engine_target_find(&t, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "'gone'"));
    engine_target_release(&t);
    setenv("DOCKER_HOST", "tcp://h", 1);
    expect_found("tcp://h", "DOCKER_HOST", ENGINE_TCP);
    setenv("DOCKER_TLS_VERIFY", "1", 1);
    expect_found("tcp://h", "DOCKER_HOST", ENGINE_TLS);
}
END_TEST

START_TEST(broken_docker_configuration_names_the_file)
{
    struct engine_target t;
    struct tp_error err = {0};

    run_shell("mkdir -p %s/.docker", dir);
    put(".docker/config.json", "{\"currentContext\":");
    ck_assert_int_lt(engine_target_find(&t, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "config.json"));
    engine_target_release(&t);
}
END_TEST

static void expect_no_engine(const char *words)
{
    struct tp_error err = {0};
    struct engine *e = engine_open(&err);

    ck_assert_ptr_null(e);
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}

START_TEST(no_engine_is_one_line_that_helps)
{
    setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock", 1);
    expect_no_engine("is it running?");
    setenv("DOCKER_HOST", "tcp://127.0.0.1:1", 1);
    expect_no_engine("cannot reach Docker at tcp://127.0.0.1:1");
    setenv("DOCKER_HOST", "tcp://does-not-exist.invalid:1", 1);
    expect_no_engine("cannot reach Docker at");
}
END_TEST

struct collected {
    char text[256];
    int rc;
};

static int collect_cb(void *arg, unsigned stream, const uint8_t *data,
                      size_t len)
{
    struct collected *c = arg;
    size_t used = strlen(c->text);

    snprintf(c->text + used, sizeof(c->text) - used, "%u:%.*s|", stream,
             (int)len, (const char *)data);
    return c->rc;
}

START_TEST(frames_in_any_cut)
{
    static const uint8_t wire[] = {1,   0, 0, 0, 0, 0, 0, 2, 'a',
                                   'b', 2, 0, 0, 0, 0, 0, 0, 0,
                                   2,   0, 0, 0, 0, 0, 0, 1, 'c'};

    for (size_t cut = 0; cut <= sizeof(wire); cut++) {
        struct engine_frames f = {0};
        struct collected c = {0};

        ck_assert_int_eq(engine_frames_feed(&f, wire, cut, collect_cb, &c), 0);
        ck_assert_int_eq(engine_frames_feed(&f, wire + cut, sizeof(wire) - cut,
                                            collect_cb, &c),
                         0);
        ck_assert_str_eq(c.text, cut == 9 ? "1:a|1:b|2:c|" : "1:ab|2:c|");
    }
}
END_TEST

START_TEST(frames_refuse_what_is_none)
{
    struct engine_frames f = {0};
    struct collected c = {0};

    ck_assert_int_eq(
        engine_frames_feed(&f, (const uint8_t *)"HTTP/1.1", 8, collect_cb, &c),
        -EBADMSG);
    f = (struct engine_frames){0};
    ck_assert_int_eq(engine_frames_feed(&f,
                                        (const uint8_t *)"\3\0\0\0\0\0\0\1x", 9,
                                        collect_cb, &c),
                     -EBADMSG);
    f = (struct engine_frames){0};
    c.rc = -ENOBUFS;
    ck_assert_int_eq(engine_frames_feed(&f,
                                        (const uint8_t *)"\1\0\0\0\0\0\0\1x", 9,
                                        collect_cb, &c),
                     -ENOBUFS);
}
END_TEST

/* The real engine, or NULL (said once). */
static struct engine *real_engine(void)
{
    struct tp_error err = {0};
    struct engine *e = engine_open(&err);

    if (!e)
        fprintf(stderr, "left out: %s\n", err.text);
    return e;
}

/* An archive of `docker save` with busybox and a label: gz as well. */
static void make_image(void)
{
    run_shell(
        "set -e; cd %s; mkdir root; cp \"$(command -v busybox)\" root/; "
        "tar -C root -cf layer.tar .; l=$(sha256sum layer.tar | cut -d' ' "
        "-f1); printf '{\"architecture\":\"amd64\",\"os\":\"linux\","
        "\"config\":{\"Entrypoint\":[\"/busybox\"],\"Labels\":{"
        "\"internal.tp.build\":\"%%s\"}},\"rootfs\":{\"type\":\"layers\","
        "\"diff_ids\":[\"sha256:%%s\"]}}' $l $l >config.json; "
        "printf '[{\"Config\":\"config.json\",\"RepoTags\":[\"" IMAGE
        "\"],\"Layers\":[\"layer.tar\"]}]' >manifest.json; "
        "tar -czf image.tar config.json layer.tar manifest.json",
        dir);
}

static struct json_object *make_spec(const char *command)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{\"Image\":\"" IMAGE "\",\"Cmd\":[\"sh\",\"-c\",\"%s\"],"
             "\"Labels\":{\"tp-cli-check\":\"1\"},"
             "\"HostConfig\":{\"Init\":false}}",
             command);
    return json_tokener_parse(text);
}

/* Runs argv in the container; its standard output as one text. */
static int run_exec(struct engine *e, const char *const *argv,
                    const char *input, char *out, size_t size, char *error)
{
    struct tp_error err = {0};
    struct engine_exec *x = engine_exec_start(e, CONTAINER, argv, &err);
    int status = -1, rc;
    char *line;

    ck_assert_msg(x != NULL, "%s", err.text);
    ck_assert_int_eq(engine_exec_write(x, input, strlen(input), &err), 0);
    ck_assert_int_eq(engine_exec_end_input(x, &err), 0);
    out[0] = '\0';
    while ((rc = engine_exec_read_line(x, 20000, &line, &err)) == 1) {
        size_t used = strlen(out);

        snprintf(out + used, size - used, "%s;", line);
        free(line);
    }
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_int_eq(engine_exec_status(x, &status, &err), 0);
    strcpy(error, engine_exec_stderr(x));
    engine_exec_close(x);
    return status;
}

static void check_execs(struct engine *e)
{
    static const char *const words[] = {"/busybox", "sh", "-c",
                                        "cat; echo oops >&2; exit 7", NULL};
    static const char *const bulk[] = {
        "/busybox", "sh", "-c",
        "cat >/dev/null; i=0; while [ $i -lt 20000 ]; do echo line-$i; "
        "i=$((i+1)); done | /busybox md5sum",
        NULL};
    static const char *const missing[] = {"/nothing", NULL};
    char out[4096], error[4097];
    struct engine_exec *x;
    struct tp_error err = {0};

    ck_assert_int_eq(run_exec(e, words, "a\nb\n", out, sizeof(out), error), 7);
    ck_assert_str_eq(out, "a;b;");
    ck_assert_str_eq(error, "oops");
    ck_assert_int_eq(run_exec(e, bulk, "x", out, sizeof(out), error), 0);
    ck_assert_str_eq(out, "9e888ca5dc7cff6469167ef5f1d37564  -;");
    x = engine_exec_start(e, CONTAINER, missing, &err);
    if (x) { /* newer engines start it and say 127 (126) by the status */
        int status;

        ck_assert_int_eq(engine_exec_status(x, &status, &err), 0);
        ck_assert_int_ne(status, 0);
        engine_exec_close(x);
    }
}

static void check_dialogue(struct engine *e)
{
    static const char *const cat[] = {"/busybox", "cat", NULL};
    struct tp_error err = {0};
    struct engine_exec *x = engine_exec_start(e, CONTAINER, cat, &err);
    char *line;

    ck_assert_msg(x != NULL, "%s", err.text);
    for (int i = 0; i < 20; i++) {
        char text[32];

        snprintf(text, sizeof(text), "question %d\n", i);
        ck_assert_int_eq(engine_exec_write(x, text, strlen(text), &err), 0);
        ck_assert_int_eq(engine_exec_read_line(x, 20000, &line, &err), 1);
        ck_assert_int_eq(strncmp(line, text, strlen(line)), 0);
        free(line);
    }
    ck_assert_int_eq(engine_exec_read_line(x, 50, &line, &err), -ETIMEDOUT);
    engine_exec_close(x);
}

/* More than all buffers hold, while nobody reads at the other end. */
static void check_join(void)
{
    static const char *const cat[] = {"/busybox", "cat", NULL};
    const size_t size = 4U << 20;
    struct tp_error err = {0};
    char *sent = malloc(size), *got = malloc(size);
    int pair[2];
    size_t have = 0;
    pid_t joiner, writer;

    for (size_t i = 0; i < size; i++)
        sent[i] = (char)(i * 5 + i / 3000);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    joiner = fork();
    if (joiner == 0) {
        struct engine *e = engine_open(&err);
        struct engine_exec *x =
            e ? engine_exec_start(e, CONTAINER, cat, &err) : NULL;

        close(pair[0]);
        _exit(!x || engine_exec_join(x, pair[1], &err) < 0);
    }
    close(pair[1]);
    writer = fork();
    if (writer == 0) {
        size_t at = 0;

        for (ssize_t n;
             at < size && (n = write(pair[0], sent + at, size - at)) > 0;)
            at += (size_t)n;
        shutdown(pair[0], SHUT_WR);
        _exit(0);
    }
    sleep(1); /* it is full now */
    for (ssize_t n; (n = read(pair[0], got + have, size - have)) > 0;)
        have += (size_t)n;
    ck_assert_uint_eq(have, size);
    ck_assert_int_eq(memcmp(got, sent, size), 0);
    ck_assert_int_eq(read(pair[0], got, 1), 0);
    ck_assert_int_eq(waitpid(joiner, NULL, 0), joiner);
    ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
    close(pair[0]);
    free(sent);
    free(got);
}

static void check_container(struct engine *e)
{
    cleanup_json struct json_object *spec = make_spec(""), *list;
    cleanup_json struct json_object *info = NULL, *nets = NULL;
    cleanup_free char *id = NULL;
    struct tp_error err = {0};

    list = NULL;
    ck_assert_int_eq(engine_container_remove(e, CONTAINER, &err), 0);
    ck_assert_int_eq(engine_container_inspect(e, CONTAINER, &info, &err),
                     -ENOENT);
    json_object_object_add(spec, "Cmd",
                           json_tokener_parse("[\"sleep\",\"600\"]"));
    ck_assert_msg(engine_container_create(e, CONTAINER, spec, &id, &err) == 0,
                  "%s", err.text);
    free(id);
    ck_assert_int_eq(engine_container_create(e, CONTAINER, spec, &id, &err),
                     -EEXIST);
    ck_assert_ptr_nonnull(strstr(err.text, CONTAINER));
    ck_assert_msg(engine_container_start(e, CONTAINER, &err) == 0, "%s",
                  err.text);
    ck_assert_int_eq(engine_container_start(e, CONTAINER, &err), 0);
    ck_assert_int_eq(engine_container_inspect(e, CONTAINER, &info, &err), 0);
    ck_assert(json_get_bool(info, "State.Running", false));
    ck_assert_int_eq(engine_container_list(e,
                                           "{\"label\":[\"tp-cli-check=1\"]}",
                                           false, &list, &err),
                     0);
    ck_assert_uint_eq(json_array_len(list), 1);
    ck_assert_int_eq(engine_network_list(e, &nets, &err), 0);
    ck_assert_uint_ge(json_array_len(nets), 1);
    check_execs(e);
    check_dialogue(e);
    check_join();
    ck_assert_int_eq(engine_container_remove(e, CONTAINER, &err), 0);
}

static void check_image(struct engine *e)
{
    cleanup_json struct json_object *image = NULL;
    cleanup_free char *label = NULL, *absent = NULL;
    struct tp_error err = {0};
    char path[128];

    make_image();
    snprintf(path, sizeof(path), "%s/image.tar", dir);
    ck_assert_msg(
        engine_archive_label(path, "internal.tp.build", &label, &err) == 0,
        "%s", err.text);
    ck_assert_uint_eq(strlen(label), 64);
    ck_assert_int_eq(engine_archive_label(path, "none", &absent, &err), 0);
    ck_assert_ptr_null(absent);
    ck_assert_msg(engine_image_load(e, path, &err) == 0, "%s", err.text);
    ck_assert_int_eq(engine_image_inspect(e, IMAGE, &image, &err), 0);
    ck_assert_str_eq(
        json_get_str(json_get(json_get(image, "Config"), "Labels"), "x", label),
        label);
    put("image.tar", "no archive at all");
    ck_assert_int_lt(engine_image_load(e, path, &err), 0);
    ck_assert_int_lt(engine_archive_label(path, "x", &absent, &err), 0);
}

START_TEST(real_engine_by_unix_socket)
{
    cleanup_json struct json_object *none = NULL;
    struct tp_error err = {0};
    struct engine *e = real_engine();

    if (!e)
        return;
    ck_assert_int_eq(strncmp(engine_api_version(e), "1.4", 3), 0);
    ck_assert_int_eq(engine_image_inspect(e, "tp-cli-check:none", &none, &err),
                     -ENOENT);
    check_image(e);
    check_container(e);
    run_shell("docker rmi -f " IMAGE " >/dev/null");
    engine_close(e);
}
END_TEST

/* An "ssh" that ignores its arguments up to the command and runs it here. */
START_TEST(real_engine_by_ssh)
{
    static const char script[] =
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n"
        "echo \"$1\" >>\"$HOME/hosts\"\nshift\n"
        "unset DOCKER_HOST\nexec \"$@\"\n";
    struct tp_error err = {0};
    struct engine *e = real_engine();
    char path[1024];

    if (!e)
        return;
    check_image(e);
    engine_close(e);
    put("ssh", script);
    run_shell("chmod 700 %s/ssh", dir);
    snprintf(path, sizeof(path), "%s:%s", dir, getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("DOCKER_HOST", "ssh://me@engine.test:2222", 1);
    e = engine_open(&err);
    ck_assert_msg(e != NULL, "%s", err.text);
    check_container(e);
    engine_close(e);
    run_shell("grep -qx engine.test %s/hosts", dir);
    run_shell("docker -H unix:///var/run/docker.sock rmi -f " IMAGE
              " >/dev/null");
}
END_TEST

/* A relay that ends TLS, asks for a client certificate and talks to the real
 * engine's socket: what a dockerd with --tlsverify looks like. */
static const char tls_relay[] =
    "import socket, ssl, sys, threading\n"
    "ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
    "ctx.load_cert_chain('server.pem', 'server.key')\n"
    "ctx.load_verify_locations('ca.pem')\n"
    "ctx.verify_mode = ssl.CERT_REQUIRED\n"
    "listener = socket.create_server(('127.0.0.1', 0))\n"
    "open('port.new', 'w').write(str(listener.getsockname()[1]))\n"
    "import os; os.rename('port.new', 'port')\n"
    "def pump(a, b):\n"
    "    try:\n"
    "        while True:\n"
    "            data = a.recv(65536)\n"
    "            if not data: break\n"
    "            b.sendall(data)\n"
    "    except OSError: pass\n"
    "    try:\n"
    "        if isinstance(b, ssl.SSLSocket): b.unwrap()\n"
    "        b.shutdown(socket.SHUT_WR)\n"
    "    except (OSError, ValueError): pass\n"
    "def serve(raw):\n"
    "    try: tls = ctx.wrap_socket(raw, server_side=True)\n"
    "    except OSError: return\n"
    "    far = socket.socket(socket.AF_UNIX)\n"
    "    far.connect('/var/run/docker.sock')\n"
    "    threading.Thread(target=pump, args=(far, tls), daemon=True).start()\n"
    "    pump(tls, far)\n"
    "while True:\n"
    "    threading.Thread(target=serve, args=(listener.accept()[0],),\n"
    "                     daemon=True).start()\n";

static void make_certificates(void)
{
    run_shell(
        "exec >/dev/null 2>&1; set -e; cd %s; for n in ca other; do "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-keyout $n.key -out $n.pem -days 2 -subj /CN=$n; done; "
        "for n in server client; do openssl req -newkey ec -pkeyopt "
        "ec_paramgen_curve:P-256 -nodes -keyout $n.key -out $n.csr -subj "
        "/CN=$n; echo subjectAltName=DNS:localhost >$n.ext; openssl x509 -req "
        "-in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "
        "$n.ext -out $n.pem; done; mkdir good bad; cp ca.pem good/; "
        "cp other.pem bad/ca.pem; for d in good bad; do cp client.pem "
        "$d/cert.pem; cp client.key $d/key.pem; done",
        dir);
}

static void set_in_dir(const char *variable, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    setenv(variable, path, 1);
}

static void use_port(const char *host)
{
    char path[128], url[64];
    unsigned port = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/port", dir);
    f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%u", &port), 1);
    fclose(f);
    snprintf(url, sizeof(url), "tcp://%s:%u", host, port);
    setenv("DOCKER_HOST", url, 1);
}

START_TEST(real_engine_by_tls)
{
    struct tp_error err = {0};
    struct engine *e = real_engine();

    if (!e || access("/var/run/docker.sock", W_OK) < 0) {
        engine_close(e);
        return;
    }
    check_image(e);
    engine_close(e);
    make_certificates();
    put("relay.py", tls_relay);
    run_shell("cd %s && { timeout 100 python3 relay.py >/dev/null 2>&1 & echo "
              "$! >pid; }; for i in $(seq 100); do test -f port && exit 0; "
              "sleep 0.1; done; exit 1",
              dir);
    setenv("DOCKER_TLS_VERIFY", "1", 1);
    set_in_dir("DOCKER_CERT_PATH", "good");
    use_port("localhost");
    e = engine_open(&err);
    ck_assert_msg(e != NULL, "%s", err.text);
    check_container(e);
    engine_close(e);
    use_port("127.0.0.1"); /* not in the certificate */
    expect_no_engine("certificate");
    use_port("localhost");
    set_in_dir("DOCKER_CERT_PATH", "bad"); /* another authority */
    expect_no_engine("certificate");
    run_shell("kill $(cat %s/pid); env -u DOCKER_TLS_VERIFY docker -H "
              "unix:///var/run/docker.sock rmi -f " IMAGE " >/dev/null",
              dir);
}
END_TEST

START_TEST(a_cancel_ends_a_wait)
{
    static const char *const argv[] = {"/busybox", "sleep", "60", NULL};
    cleanup_json struct json_object *spec = make_spec("sleep 600");
    cleanup_free char *id = NULL;
    struct tp_error err = {0};
    struct engine *e = real_engine();
    struct engine_exec *x;
    int fds[2];
    char *line;

    if (!e)
        return;
    check_image(e);
    ck_assert_int_eq(engine_container_remove(e, CONTAINER, &err), 0);
    json_object_object_add(spec, "Cmd",
                           json_tokener_parse("[\"sleep\",\"600\"]"));
    ck_assert_msg(engine_container_create(e, CONTAINER, spec, &id, &err) == 0,
                  "%s", err.text);
    ck_assert_int_eq(engine_container_start(e, id, &err), 0);
    ck_assert_int_eq(pipe(fds), 0);
    engine_set_cancel(e, fds[0]);
    x = engine_exec_start(e, id, argv, &err);
    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(engine_exec_read_line(x, 30000, &line, &err), -ECANCELED);
    engine_exec_close(x);
    engine_set_cancel(e, -1);
    ck_assert_int_eq(engine_container_remove(e, id, &err), 0);
    run_shell("docker rmi -f " IMAGE " >/dev/null");
    engine_close(e);
}
END_TEST

/* Else a container would be left whose id nobody knows. */
START_TEST(a_cancel_leaves_no_container_behind)
{
    cleanup_json struct json_object *spec = make_spec(""), *info = NULL;
    cleanup_free char *id = NULL;
    struct tp_error err = {0};
    struct engine *e = real_engine();
    int fds[2];

    if (!e)
        return;
    check_image(e);
    ck_assert_int_eq(engine_container_remove(e, CONTAINER, &err), 0);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    engine_set_cancel(e, fds[0]);
    ck_assert_msg(engine_container_create(e, CONTAINER, spec, &id, &err) == 0,
                  "%s", err.text);
    ck_assert_int_eq(engine_container_start(e, id, &err), -ECANCELED);
    engine_set_cancel(e, -1);
    ck_assert_int_eq(engine_container_remove(e, id, &err), 0);
    ck_assert_int_eq(engine_container_inspect(e, CONTAINER, &info, &err),
                     -ENOENT);
    run_shell("docker rmi -f " IMAGE " >/dev/null");
    engine_close(e);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* Each of several removers finds it gone and is content. */
START_TEST(removing_at_the_same_time)
{
    cleanup_json struct json_object *spec = make_spec("");
    cleanup_free char *id = NULL;
    struct tp_error err = {0};
    struct engine *e = real_engine();

    if (!e)
        return;
    check_image(e);
    ck_assert_int_eq(engine_container_remove(e, CONTAINER, &err), 0);
    json_object_object_add(spec, "Cmd",
                           json_tokener_parse("[\"sleep\",\"600\"]"));
    ck_assert_msg(engine_container_create(e, CONTAINER, spec, &id, &err) == 0,
                  "%s", err.text);
    ck_assert_int_eq(engine_container_start(e, id, &err), 0);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            struct engine *own = engine_open(NULL);
            int rc = own ? engine_container_remove(own, id, NULL) : -EIO;

            _exit(rc == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;

        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    run_shell("docker rmi -f " IMAGE " >/dev/null");
    engine_close(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *tc = tcase_create("engine"), *real = tcase_create("real");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, addresses_are_parsed);
    tcase_add_test(tc, the_environment_and_contexts_choose_the_engine);
    tcase_add_test(tc, broken_docker_configuration_names_the_file);
    tcase_add_test(tc, no_engine_is_one_line_that_helps);
    tcase_add_test(tc, frames_in_any_cut);
    tcase_add_test(tc, frames_refuse_what_is_none);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(real, setup, teardown);
    tcase_set_timeout(real, 120);
    tcase_add_test(real, real_engine_by_unix_socket);
    tcase_add_test(real, real_engine_by_ssh);
    tcase_add_test(real, real_engine_by_tls);
    tcase_add_test(real, a_cancel_ends_a_wait);
    tcase_add_test(real, a_cancel_leaves_no_container_behind);
    tcase_add_test(real, removing_at_the_same_time);
    suite_add_tcase(s, real);
    return suite_run(s);
}
