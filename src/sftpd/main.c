/*
 * tp-agent-sftp - the files of a container, to one client by SFTP over SSH
 *
 * Started by tp-agent for each connection: descriptor 3 is the connection, 4
 * the settings (settings.h). A program of its own so that tp-agent, which is in
 * every pod, does not load libssh, and so that what parses the client's bytes
 * has nothing else.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <config.h>

#include "base/log.h"
#include "base/memory.h"
#include "sftpd/sandbox.h"
#include "sftpd/server.h"

#define CONNECTION_FD 3
#define SETTINGS_FD   4

/* The memory is the agent's container's (128 MiB of the chart), whose end would
 * be the agent's too: a client that asks for more ends this process instead.
 * Sixteen times this and the agent itself stay below. Seen: 2.6 MiB in an
 * upload, 6.6 with a client that sends and never reads. */
#define DATA_MAX ((rlim_t)7 << 20)

static void harden(void)
{
    struct rlimit none = {0, 0}, data = {DATA_MAX, DATA_MAX}, files;

    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is data, too */
    setrlimit(RLIMIT_DATA, &data);
#else
    (void)data;
#endif
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    memory_tune(1, 512 * 1024);
    signal(SIGPIPE, SIG_IGN);
    umask(0); /* modes are as the client says */
}

static int run(struct tp_error *err)
{
    struct sftpd_settings settings;
    int rc = sftpd_settings_read(&settings, SETTINGS_FD, err);

    close(SETTINGS_FD);
    if (rc == 0) {
        sftpd_exports_open(&settings.exports);
        rc = sftpd_sandbox(err);
    }
    if (rc == 0)
        rc = sftpd_serve(CONNECTION_FD, &settings, err);
    sftpd_settings_release(&settings);
    return rc;
}

int main(int argc, char **argv)
{
    struct tp_error err = {0};

    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("tp-agent-sftp " VERSION);
        return EXIT_SUCCESS;
    }
    if (argc != 1 || fcntl(CONNECTION_FD, F_GETFD) < 0 ||
        fcntl(SETTINGS_FD, F_GETFD) < 0) {
        fputs("tp-agent-sftp is started by tp-agent: descriptor 3 is a "
              "connection, 4 has the settings\n",
              stderr);
        return 2;
    }
    harden();
    if (run(&err) == 0)
        return EXIT_SUCCESS;
    log_info("sftp: %s", err.text);
    return EXIT_FAILURE;
}
