/*
 * Unit tests: tp-agent-sftp as it is started, with real clients: OpenSSH's ssh
 * and sftp (by a proxy command that hands the connection over, which is this
 * program, too), and libssh for what a well-behaved client does not do.
 */
#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "net/sshkey.h"
#include "suite.h"
#include "tempdir.h"

#define TIMEOUT 60

static struct {
    char dir[64];
    char self[256], server[256]; /* programs */
    struct sshkey_pair host, client, other;
} w;

static const char *file_at(const char *name)
{
    static char path[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", w.dir, name);
    return path[turn];
}

static void put_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(file_at(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(file_at(name), mode), 0);
}

/* ---- the server -------------------------------------------------------------
 */

/* Runs it on a socket; the other end is returned. */
static int start_server(const char *program, const char *settings)
{
    int pair[2], fd = open(settings, O_RDONLY);
    pid_t pid;

    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        int connection = fcntl(pair[1], F_DUPFD, 10);
        int text = fcntl(fd, F_DUPFD, 10);

        dup2(connection, 3);
        dup2(text, 4);
        for (int other = 5; other < 20; other++)
            close(other);
        /* LeakSanitizer needs a process of its own, which there is not. */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    close(fd);
    return pid < 0 ? -1 : pair[0];
}

/* What ssh asks of its proxy command (ProxyUseFdpass). */
static int pass_connection(const char *program, const char *settings)
{
    int fd = start_server(program, settings);
    char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = space,
                         .msg_controllen = sizeof(space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return fd >= 0 && sendmsg(STDOUT_FILENO, &msg, 0) == 1 ? 0 : 1;
}

static void write_settings(bool read_only)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *list = json_object_new_array();
    struct json_object *item = json_object_new_object();

    json_put_str(obj, "key", w.client.public_line);
    json_put_str(obj, "hostKey", w.host.private_pem);
    json_object_object_add(obj, "readOnly", json_object_new_boolean(read_only));
    json_put_str(item, "path", "/data");
    json_put_str(item, "source", file_at("data"));
    json_object_object_add(item, "readOnly", json_object_new_boolean(false));
    json_object_array_add(list, item);
    json_object_object_add(obj, "exports", list);
    put_file("settings", json_object_to_json_string(obj), 0600);
    json_object_put(obj);
}

static void setup(void)
{
    char known[256];

    tempdir_make(w.dir);
    ck_assert_int_eq(sshkey_make(&w.host, NULL), 0);
    ck_assert_int_eq(sshkey_make(&w.client, NULL), 0);
    ck_assert_int_eq(sshkey_make(&w.other, NULL), 0);
    ck_assert(sshkey_is_public(w.client.public_line));
    ck_assert_int_eq(mkdir(file_at("data"), 0755), 0);
    put_file("key", w.client.private_pem, 0600);
    put_file("other", w.other.private_pem, 0600);
    snprintf(known, sizeof(known), "pod %s\n", w.host.public_line);
    put_file("known", known, 0600);
    write_settings(false);
}

static void teardown(void)
{
    sshkey_release(&w.host);
    sshkey_release(&w.client);
    sshkey_release(&w.other);
    tempdir_remove(w.dir);
}

/* ---- OpenSSH ----------------------------------------------------------------
 */

/* Runs a client with its options; "%s" is what comes behind them. Its status;
 * what it says is in the file "said". */
static int run_client(const char *program, const char *key, const char *behind)
{
    char command[2048];
    int rc;

    snprintf(command, sizeof(command),
             "cd %s && timeout %d %s -F none -i %s/%s -o IdentitiesOnly=yes "
             "-o BatchMode=yes -o UserKnownHostsFile=%s/known "
             "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes "
             "-o ProxyUseFdpass=yes "
             "-o 'ProxyCommand=%s --serve %s %s/settings' %s >said 2>&1",
             w.dir, TIMEOUT, program, w.dir, key, w.dir, w.self, w.server,
             w.dir, behind);
    rc = system(command);
    return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static bool was_said(const char *text)
{
    char said[4096] = "";
    FILE *f = fopen(file_at("said"), "r");
    size_t len = f ? fread(said, 1, sizeof(said) - 1, f) : 0;

    if (f)
        fclose(f);
    said[len] = '\0';
    if (strstr(said, text))
        return true;
    fprintf(stderr, "said: %s\n", said);
    return false;
}

static void run_shell(const char *text)
{
    char command[1024];

    snprintf(command, sizeof(command), "cd %s && %s", w.dir, text);
    ck_assert_msg(system(command) == 0, "%s", text);
}

START_TEST(sftp_carries_files)
{
    run_shell("head -c 5000000 /dev/urandom >big && chmod 640 big");
    put_file("batch",
             "cd /data\nput -p big\nget -p big back\nmkdir dir\n"
             "rename big dir/moved\nln dir/moved hard\nsymlink dir/moved soft\n"
             "ls -l\ndf\ncp hard copy\nrm hard\n",
             0600);
    ck_assert_int_eq(run_client("sftp -b batch", "key", "tp@pod"), 0);
    run_shell("cmp big back && cmp big data/dir/moved && cmp big data/copy");
    run_shell("test ! -e data/hard && test $(readlink data/soft) = dir/moved");
    run_shell("test $(stat -c %a data/dir/moved) = 640 && "
              "test $(stat -c %Y data/dir/moved) = $(stat -c %Y big)");
}
END_TEST

/* New keys in the middle of a transfer, both ways. */
START_TEST(keys_are_renewed)
{
    run_shell("head -c 10000000 /dev/urandom >big");
    put_file("batch", "put big /data/\nget /data/big back\n", 0600);
    ck_assert_int_eq(
        run_client("sftp -b batch -o RekeyLimit=1M", "key", "tp@pod"), 0);
    run_shell("cmp big back");
}
END_TEST

START_TEST(read_only_is_told)
{
    write_settings(true);
    put_file("data/x", "text", 0644);
    put_file("batch", "get /data/x back\nput batch /data/y\n", 0600);
    ck_assert_int_ne(run_client("sftp -b batch", "key", "tp@pod"), 0);
    ck_assert(was_said("Permission denied"));
    run_shell("cmp data/x back && test ! -e data/y");
}
END_TEST

START_TEST(nothing_leads_out)
{
    put_file("secret", "secret", 0644);
    ck_assert_int_eq(symlink("../secret", file_at("data/link")), 0);
    put_file("batch",
             "-get /data/../secret a\n-get /data/link b\n"
             "-get /etc/passwd c\n-get /proc/self/environ d\n"
             "-get ../../../../etc/passwd e\n",
             0600);
    ck_assert_int_eq(run_client("sftp -b batch", "key", "tp@pod"), 0);
    run_shell("test ! -e a && test ! -e b && test ! -e c && test ! -e d && "
              "test ! -e e");
}
END_TEST

START_TEST(other_keys_are_refused)
{
    put_file("batch", "ls /data\n", 0600);
    ck_assert_int_eq(run_client("sftp -b batch", "other", "tp@pod"), 255);
    ck_assert(was_said("Permission denied"));
    ck_assert_int_eq(run_client("sftp -b batch -o PubkeyAuthentication=no "
                                "-o PasswordAuthentication=yes",
                                "key", "tp@pod"),
                     255);
}
END_TEST

START_TEST(only_sftp_is_served)
{
    static const char *const asks[] = {
        "tp@pod true",
        "-T tp@pod </dev/null",
        "-tt tp@pod true",
        "-s tp@pod shell",
        "-s tp@pod sftpx",
        "-W 127.0.0.1:22 tp@pod",
        "-N -o ExitOnForwardFailure=yes -R 0:127.0.0.1:22 tp@pod",
    };

    for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++)
        ck_assert_msg(run_client("ssh", "key", asks[i]) == 255, "%s", asks[i]);
}
END_TEST

/* ---- libssh: what clients do not do -----------------------------------------
 */

static ssh_session connect_libssh(void)
{
    ssh_session s = ssh_new();
    int fd = start_server(w.server, file_at("settings"));
    int no = 0;
    long seconds = 5; /* libssh waits for ever for who has left */

    ck_assert_int_ge(fd, 0);
    ssh_options_set(s, SSH_OPTIONS_HOST, "pod");
    ssh_options_set(s, SSH_OPTIONS_USER, "tp");
    ssh_options_set(s, SSH_OPTIONS_FD, &fd);
    ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(s, SSH_OPTIONS_TIMEOUT, &seconds);
    ck_assert_int_eq(ssh_connect(s), SSH_OK);
    return s;
}

static void log_in(ssh_session s)
{
    ssh_key key;

    ck_assert_int_eq(ssh_pki_import_privkey_base64(w.client.private_pem, NULL,
                                                   NULL, NULL, &key),
                     SSH_OK);
    ck_assert_int_eq(ssh_userauth_publickey(s, NULL, key), SSH_AUTH_SUCCESS);
    ssh_key_free(key);
}

START_TEST(a_channel_needs_a_log_in)
{
    ssh_session s = connect_libssh();
    ssh_channel c = ssh_channel_new(s);

    ck_assert_int_ne(ssh_channel_open_session(c), SSH_OK);
    ssh_channel_free(c);
    ssh_free(s);
}
END_TEST

START_TEST(one_channel_and_one_subsystem)
{
    ssh_session s = connect_libssh();
    ssh_channel c, second, forward;

    log_in(s);
    c = ssh_channel_new(s);
    ck_assert_int_eq(ssh_channel_open_session(c), SSH_OK);
    ck_assert_int_ne(ssh_channel_request_exec(c, "true"), SSH_OK);
    ck_assert_int_ne(ssh_channel_request_pty(c), SSH_OK);
    ck_assert_int_ne(ssh_channel_request_env(c, "LD_PRELOAD", "x"), SSH_OK);
    ck_assert_int_ne(ssh_channel_request_shell(c), SSH_OK);
    second = ssh_channel_new(s);
    ck_assert_int_ne(ssh_channel_open_session(second), SSH_OK);
    forward = ssh_channel_new(s);
    ck_assert_int_ne(
        ssh_channel_open_forward(forward, "127.0.0.1", 22, "127.0.0.1", 1),
        SSH_OK);
    ck_assert_int_eq(ssh_channel_request_subsystem(c, "sftp"), SSH_OK);
    ck_assert_int_ne(ssh_channel_request_exec(c, "true"), SSH_OK);
    ssh_free(s);
}
END_TEST

/* Tries are counted, whatever they are. */
START_TEST(tries_are_few)
{
    ssh_session s = connect_libssh();
    ssh_key key;
    int tries = 0;

    ck_assert_int_eq(ssh_pki_import_privkey_base64(w.other.private_pem, NULL,
                                                   NULL, NULL, &key),
                     SSH_OK);
    while (ssh_userauth_publickey(s, NULL, key) == SSH_AUTH_DENIED)
        ck_assert_int_lt(++tries, 10);
    ssh_key_free(key);
    ssh_free(s);
}
END_TEST

/* What is no SSH, or comes and says nothing, ends. */
START_TEST(noise_ends_it)
{
    int fd = start_server(w.server, file_at("settings"));
    char text[512];
    ssize_t got;

    ck_assert_int_eq(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    while ((got = read(fd, text, sizeof(text))) > 0)
        ;
    ck_assert(got == 0 || errno == ECONNRESET);
    close(fd);
}
END_TEST

/* No process, no socket, nobody looks at it; nothing of it in its arguments. */
START_TEST(the_server_is_sandboxed)
{
    char path[64], text[4096] = "";
    int fd = start_server(w.server, file_at("settings")), status_fd = -1;
    struct ucred who;
    socklen_t len = sizeof(who);

    ck_assert_int_gt(read(fd, text, 4), 0); /* its banner */
    /* A socketpair names its maker: the child is the only one there is. */
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len), 0);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(),
             getpid());
    status_fd = open(path, O_RDONLY);
    ck_assert_int_gt(read(status_fd, text, sizeof(text) - 1), 0);
    close(status_fd);
    snprintf(path, sizeof(path), "/proc/%d/status", atoi(text));
    status_fd = open(path, O_RDONLY);
    memset(text, 0, sizeof(text));
    ck_assert_int_gt(read(status_fd, text, sizeof(text) - 1), 0);
    close(status_fd);
    ck_assert_ptr_nonnull(strstr(text, "Seccomp:\t2"));
    ck_assert_ptr_nonnull(strstr(text, "NoNewPrivs:\t1"));
    close(fd);
}
END_TEST

static Suite *ssh_suite(void)
{
    Suite *suite = suite_create("sftpd_ssh");
    TCase *tc = tcase_create("clients");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 2 * TIMEOUT);
    tcase_add_test(tc, sftp_carries_files);
    tcase_add_test(tc, keys_are_renewed);
    tcase_add_test(tc, read_only_is_told);
    tcase_add_test(tc, nothing_leads_out);
    tcase_add_test(tc, other_keys_are_refused);
    tcase_add_test(tc, only_sftp_is_served);
    tcase_add_test(tc, a_channel_needs_a_log_in);
    tcase_add_test(tc, one_channel_and_one_subsystem);
    tcase_add_test(tc, tries_are_few);
    tcase_add_test(tc, noise_ends_it);
    tcase_add_test(tc, the_server_is_sandboxed);
    suite_add_tcase(suite, tc);
    return suite;
}

/* tp-agent-sftp is built beside this program. */
static void find_programs(void)
{
    ssize_t len = readlink("/proc/self/exe", w.self, sizeof(w.self) - 1);
    char *slash;

    if (len <= 0)
        abort();
    memcpy(w.server, w.self, sizeof(w.server));
    slash = strrchr(w.server, '/');
    snprintf(slash, sizeof(w.server) - (size_t)(slash - w.server),
             "/tp-agent-sftp");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--serve"))
        return pass_connection(argv[2], argv[3]);
    find_programs();
    return suite_run(ssh_suite());
}
