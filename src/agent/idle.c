#include "agent/idle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

int idle_run(void)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return EXIT_FAILURE;
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        number = sigwaitinfo(&set, NULL);
        if (number == SIGINT || number == SIGTERM)
            return EXIT_SUCCESS;
        if (number < 0 && errno != EINTR)
            return EXIT_FAILURE;
    }
}
