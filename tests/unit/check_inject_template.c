/* Unit tests of agents that stand in the pod template (template_inject.h). */
#include <check.h>
#include <string.h>

#include "base/json.h"
#include "inject_world.h"
#include "manager/json_patch.h"
#include "manager/template_inject.h"

#define REDIRECT                                                               \
    POD(CONFIG(PORT("app", 8080, "redirect", 9900)),                           \
        "'containers':[{'name':'side','image':'s'},{'name':'app','image':'x'," \
        "'ports':[{'name':'http','containerPort':8080}],'readinessProbe':{"    \
        "'httpGet':{'port':'http','path':'/r'}},'livenessProbe':{"             \
        "'tcpSocket':{'port':8080}},'volumeMounts':[{'name':'v','mountPath':"  \
        "'/v'}]}],'volumes':[{'name':'v','emptyDir':{}}],'imagePullSecrets':[" \
        "{'name':'own'}],'initContainers':[{'name':'first','image':'i'}]")
#define REPLACE                                                                \
    POD(CONFIG(PORT("app", 80, "direct", 80)) ",\\'replace\\':\\'app\\'",      \
        "'securityContext':{'runAsUser':7},'containers':[{'name':'app',"       \
        "'image':'x','command':['/run','--fast'],'args':['a'],'workingDir':"   \
        "'/w','ports':[{'containerPort':80}],'livenessProbe':{'httpGet':{"     \
        "'port':80}},'lifecycle':{'preStop':{'exec':{'command':['x']}}}}]")
#define SWITCHED                                                               \
    POD(CONFIG(PORT("app", 8080, "service", 9900)),                            \
        "'containers':[{'name':'app','image':'x'}]")

static const char *const templates[] = {NAMED, REDIRECT, REPLACE, SWITCHED};

static struct json_object *workload_of(struct json_object *tmpl)
{
    struct json_object *workload =
        quoted_parse("{'kind':'Deployment','spec':{}}");

    json_object_object_add(json_get(workload, "spec"), "template",
                           json_object_get(tmpl));
    return workload;
}

static struct json_object *inject(struct json_object *tmpl)
{
    struct json_object *undo, *workload = workload_of(tmpl);
    struct tp_error err = {0};

    ck_assert(!template_is_injected(workload));
    ck_assert_msg(
        template_inject(&inject_settings, "default", tmpl, &undo, &err) == 0,
        "%s", err.text);
    ck_assert(template_is_injected(workload));
    json_object_put(workload);
    return undo;
}

/* Once in and out, a template is what it was; the undo has been text meanwhile.
 */
START_TEST(templates_come_back_as_they_were)
{
    struct json_object *before = quoted_parse(templates[_i]);
    struct json_object *tmpl = quoted_parse(templates[_i]);
    struct json_object *undo = inject(tmpl), *read;
    const char *text = json_to_text(undo);

    read = json_parse_text(text, strlen(text), NULL);
    template_restore(tmpl, read);
    /* an empty object that was made on the way means nothing */
    if (!json_get(before, "spec.securityContext") &&
        json_get(tmpl, "spec.securityContext"))
        json_object_object_del(json_get(tmpl, "spec"), "securityContext");
    ck_assert_msg(json_object_equal(tmpl, before), "%s", json_to_text(tmpl));
    json_object_put(read);
    json_object_put(undo);
    json_object_put(tmpl);
    json_object_put(before);
}
END_TEST

/* What people have changed while the agent was there is theirs. */
START_TEST(what_was_changed_meanwhile_stays)
{
    struct json_object *tmpl = quoted_parse(REDIRECT), *undo = inject(tmpl);
    struct json_object *app = json_pointer_value(tmpl, "/spec/containers/2");

    ck_assert_str_eq(json_get_str(app, "name", ""), "app");
    ck_assert_int_ge(json_get_int(app, "readinessProbe.httpGet.port", 0), 9900);
    json_put_str(app, "image", "newer");
    json_pointer_put(app, "/livenessProbe/tcpSocket/port",
                     json_object_new_int(7));
    template_restore(tmpl, undo);
    app = json_pointer_value(tmpl, "/spec/containers/1");
    ck_assert_str_eq(json_get_str(app, "image", ""), "newer");
    ck_assert_int_eq(json_get_int(app, "livenessProbe.tcpSocket.port", 0), 7);
    ck_assert_str_eq(json_get_str(app, "readinessProbe.httpGet.port", ""),
                     "http");
    json_object_put(undo);
    json_object_put(tmpl);
}
END_TEST

/* The annotation is in other people's hands; without it the agent goes, too. */
START_TEST(nonsense_undoes_nothing)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{'values':7,'pullSecrets':[7,null,{}]}",
        "{'values':[{'list':'containers','name':'app','path':'image'}]}",
        "{'values':[{'list':'volumes','name':'v','path':'/x/y/z','old':1}]}",
        "{'values':[{},null,{'path':'/'}],'lowPorts':'no'}",
    };

    for (int i = -1; i < COUNT(texts); i++) {
        struct json_object *tmpl = quoted_parse(REDIRECT);
        struct json_object *bad = i < 0 ? NULL : quoted_parse(texts[i]);
        struct json_object *undo = inject(tmpl), *workload;

        template_restore(tmpl, bad);
        workload = workload_of(tmpl);
        ck_assert(!template_is_injected(workload));
        ck_assert_str_eq(
            json_get_str(json_pointer_value(tmpl, "/spec/containers/1"),
                         "image", ""),
            "x");
        json_object_put(workload);
        json_object_put(undo);
        json_object_put(bad);
        json_object_put(tmpl);
    }
}
END_TEST

START_TEST(what_the_webhook_refuses_is_refused)
{
    struct json_object *tmpl =
        quoted_parse(POD(CONFIG(PORT("nope", 8080, "redirect", 9900)),
                         "'containers':[{'name':'app'}]"));
    struct json_object *undo;
    struct tp_error err = {0};

    ck_assert_int_lt(
        template_inject(&inject_settings, "default", tmpl, &undo, &err), 0);
    ck_assert_ptr_null(undo);
    ck_assert_ptr_nonnull(strstr(err.text, "there is no container nope"));
    ck_assert_int_lt(
        template_inject(&inject_settings, "tp-system", tmpl, &undo, &err), 0);
    json_object_put(tmpl);
}
END_TEST

/* For another thread: nothing is shared. */
START_TEST(settings_are_copied)
{
    struct inject_settings copy;
    struct json_object *tmpl = quoted_parse(NAMED), *undo;
    struct tp_error err = {0};

    ck_assert_int_eq(inject_settings_copy(&copy, &inject_settings), 0);
    ck_assert_str_eq(copy.image, inject_settings.image);
    ck_assert_ptr_ne(copy.image, inject_settings.image);
    ck_assert_ptr_ne(copy.resources, inject_settings.resources);
    ck_assert_ptr_ne(copy.pull_secrets, inject_settings.pull_secrets);
    ck_assert_int_eq(template_inject(&copy, "default", tmpl, &undo, &err), 0);
    json_object_put(undo);
    json_object_put(tmpl);
    inject_settings_release(&copy);
}
END_TEST

TCase *inject_template_case(void)
{
    TCase *tc = tcase_create("template");

    tcase_add_checked_fixture(tc, inject_set_up, inject_tear_down);
    tcase_add_loop_test(tc, templates_come_back_as_they_were, 0,
                        COUNT(templates));
    tcase_add_test(tc, what_was_changed_meanwhile_stays);
    tcase_add_test(tc, nonsense_undoes_nothing);
    tcase_add_test(tc, what_the_webhook_refuses_is_refused);
    tcase_add_test(tc, settings_are_copied);
    return tc;
}
