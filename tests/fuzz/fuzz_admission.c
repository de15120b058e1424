/* Fuzz target: AdmissionReview in, answer out. A first byte "s" makes the rest
 * the chart's settings instead. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void settings_of_chart(const char *text)
{
    struct inject_settings s;

    if (inject_settings_parse(&s, text, NULL) == 0 && !s.image)
        abort();
    inject_settings_release(&s);
}

static struct inject_settings usual_settings(void)
{
    static const char text[] =
        "{\"image\": \"i\", \"pullSecrets\": [\"p\"], \"exclude\": [\"A*\"],"
        "\"nativeSidecars\": true}";
    struct inject_settings s;

    if (inject_settings_parse(&s, text, NULL) < 0)
        abort();
    s.ca = strdup("PEM");
    s.own_ns = strdup("tp-system");
    s.server_name = strdup("tp-manager.tp-system.svc");
    strcpy(s.manager, "10.43.0.9:8444");
    return s;
}

/* Whatever was asked: the pod is let through, and a patch comes alone. */
static void check_answer(const char *answer)
{
    struct json_object *obj = json_parse_text(answer, strlen(answer), NULL);
    struct json_object *response = json_get(obj, "response");

    if (!json_get_bool(response, "allowed", false) ||
        !*json_get_str(response, "uid", "") ||
        (json_get(response, "patch") && json_get(response, "warnings")))
        abort();
    json_object_put(obj);
}

static void review(const char *text, size_t len)
{
    struct inject_settings s = usual_settings();
    struct tp_error note = {0};
    char *answer;
    enum webhook_result result = webhook_answer(&s, text, len, &answer, &note);

    if (!answer || !*note.text)
        abort();
    if (result != WEBHOOK_BAD)
        check_answer(answer);
    free(answer);
    inject_settings_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    if (*text == 's')
        settings_of_chart(text + 1);
    else
        review(text, size);
    free(text);
    return 0;
}
