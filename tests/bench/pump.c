/* bench-pump: the command line; see pump.h. */
#include "pump.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void quit(int signal_number)
{
    (void)signal_number;
    _exit(0); /* the first process of a container has no default reaction */
}

static int run(uv_loop_t *loop, int argc, char **argv, struct tp_error *err)
{
    struct pump_api api = {0};

    if (argc == 3 && !strcmp(argv[1], "serve"))
        return pump_serve(loop, (uint16_t)atoi(argv[2]), err);
    if (argc > 5)
        api = (struct pump_api){argv[2], (uint16_t)atoi(argv[3]), argv[4]};
    if (argc == 8 && !strcmp(argv[1], "measure")) {
        struct pump_job job = {
            .api = api,
            .mode = argv[5],
            .streams = strtoul(argv[6], NULL, 10),
            .seconds = atof(argv[7]),
        };

        return pump_measure(loop, &job, err);
    }
    if (argc > 6 && !strcmp(argv[1], "relay")) {
        struct pump_relay relay = {
            .api = api,
            .target = argv[5],
            .ports = argv + 6,
            .count = (size_t)argc - 6,
        };

        return pump_relay(loop, &relay, err);
    }
    return tp_error_set(err, -EINVAL,
                        "usage: bench-pump serve PORT | measure HOST PORT "
                        "SERVER-NAME source|sink|echo STREAMS SECONDS | "
                        "relay HOST PORT SERVER-NAME ADDR PORT...");
}

int main(int argc, char **argv)
{
    struct tp_error err = {0};
    uv_loop_t *loop = uv_default_loop();

    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, quit);
    signal(SIGINT, quit);
    if (run(loop, argc, argv, &err) < 0) {
        fprintf(stderr, "bench-pump: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
