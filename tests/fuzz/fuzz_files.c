/* What a manager asks of an agent's files: a grant, or an error in one line. */
#include <stdlib.h>
#include <string.h>

#include "agent/files.h"
#include "base/json.h"

#define CONFIG                                                                 \
    "{\"version\":1,\"containers\":[\"app\"],\"mounts\":{\"app\":["            \
    "{\"path\":\"/data\",\"volume\":\"data\"},"                                \
    "{\"path\":\"/t\",\"volume\":\"t\",\"token\":true}]}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct settings settings;
static struct files *files;

static void start(void)
{
    if (settings_parse(&settings, CONFIG, NULL) < 0)
        abort();
    files = files_create(uv_default_loop(), &settings, "/nonexistent", NULL);
    if (!files)
        abort();
}

/* A token is among the mounts only if it was said so. */
static void check_answer(struct json_object *answer, const char *text)
{
    size_t mounts = json_array_len(json_get_array(answer, "mounts"));
    struct json_object *request = json_parse_text(text, strlen(text), NULL);
    bool credentials = json_get_bool(request, "credentials", false);

    if (mounts != (credentials ? 2 : 1))
        abort();
    json_object_put(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct json_object *answer;

    if (!files)
        start();
    answer = files_grant(files, text, strlen(text), NULL);
    if (answer)
        check_answer(answer, text);
    json_object_put(answer);
    free(text);
    return 0;
}
