/* The file server's requests, on real files: what is outside stays as it is,
 * whatever is asked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sftpd/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64] = "/tmp/tp-fuzz-sftpd-XXXXXX";
static int at; /* of dir: the current directory is the fuzzer's */
static struct sftpd_exports exports;

static void put_canary(void)
{
    int fd = openat(at, "canary", O_WRONLY | O_CREAT | O_TRUNC, 0400);

    if (fd < 0 || write(fd, "canary", 6) != 6)
        abort();
    close(fd);
}

static void remove_world(void)
{
    char command[128];

    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", dir,
             dir);
    if (system(command) != 0)
        fputs("fuzz_sftpd: files remain\n", stderr);
}

static void make_world(void)
{
    char source[128];

    if (!mkdtemp(dir) || (at = open(dir, O_DIRECTORY | O_PATH)) < 0 ||
        mkdirat(at, "d", 0700) < 0 || symlinkat("../canary", at, "d/l") < 0 ||
        symlinkat("..", at, "d/u") < 0)
        abort();
    put_canary();
    snprintf(source, sizeof(source), "%s/d", dir);
    sftpd_exports_add(&exports, "/d", source, false, NULL);
    sftpd_exports_add(&exports, "/r/o", source, true, NULL);
    sftpd_exports_open(&exports);
    atexit(remove_world);
}

static void check_canary(void)
{
    struct stat st;

    if (fstatat(at, "canary", &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        st.st_size != 6 || st.st_nlink != 1 || st.st_mode != (S_IFREG | 0400) ||
        faccessat(at, "d", F_OK, 0) < 0)
        abort();
}

static int write_cb(void *arg, const void *out, size_t len)
{
    size_t *total = arg;

    (void)out;
    *total += len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t init[] = {0, 0, 0, 5, 1, 0, 0, 0, 3};
    size_t total = 0;
    struct sftpd_session *s;

    if (exports.count == 0)
        make_world();
    s = sftpd_session_create(&exports, false, write_cb, &total);
    if (!s || sftpd_session_input(s, init, sizeof(init)) != sizeof(init))
        abort();
    (void)sftpd_session_input(s, data, size);
    sftpd_session_destroy(s);
    check_canary();
    return 0;
}
