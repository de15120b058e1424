/* Unit tests of the carried chart and of helm's command line. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/chart_archive.h"
#include "cli/chart_helm.h"

static char *in(const char *dir, const char *name)
{
    char *path = NULL;

    ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
    return path;
}

static mode_t mode_of(const char *dir, const char *name)
{
    cleanup_free char *path = in(dir, name);
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_mode;
}

START_TEST(the_carried_chart_is_extracted_for_the_user_alone)
{
    struct tp_error err = {0};
    cleanup_free char *dir = NULL;

    ck_assert_int_eq(chart_archive_extract(&dir, &err), 0);
    ck_assert_uint_eq(mode_of(dir, "."), S_IFDIR | 0700);
    ck_assert_uint_eq(mode_of(dir, "tp"), S_IFDIR | 0700);
    ck_assert_uint_eq(mode_of(dir, "tp/Chart.yaml"), S_IFREG | 0600);
    ck_assert_uint_eq(mode_of(dir, "tp/values.schema.json"), S_IFREG | 0600);
    ck_assert_uint_ne(mode_of(dir, "tp/templates/deployment.yaml"), 0);
    ck_assert_int_eq(chart_archive_remove(dir), 0);
    ck_assert_int_eq(access(dir, F_OK), -1);
    ck_assert_int_eq(chart_archive_remove(dir), 0);
}
END_TEST

START_TEST(extraction_without_a_directory_says_so)
{
    struct tp_error err = {0};
    char *dir = NULL;

    setenv("TMPDIR", "/proc/nowhere", 1);
    ck_assert_int_eq(chart_archive_extract(&dir, &err), -ENOENT);
    ck_assert_ptr_null(dir);
    ck_assert_ptr_nonnull(strstr(err.text, "/proc/nowhere"));
    unsetenv("TMPDIR");
}
END_TEST

/* A tar of one entry in data; returns its length. */
static size_t make_tar(char *data, size_t size, const char *name, mode_t type,
                       const char *link)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    size_t used = 0;

    archive_write_set_format_gnutar(a);
    ck_assert_int_eq(archive_write_open_memory(a, data, size, &used), 0);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0777);
    archive_entry_set_size(entry, type == AE_IFREG && !link ? 4 : 0);
    if (link && type == AE_IFREG)
        archive_entry_set_hardlink(entry, link);
    else if (link)
        archive_entry_set_symlink(entry, link);
    ck_assert_int_eq(archive_write_header(a, entry), 0);
    if (type == AE_IFREG && !link)
        ck_assert_int_eq(archive_write_data(a, "data", 4), 4);
    archive_entry_free(entry);
    ck_assert_int_eq(archive_write_close(a), 0);
    archive_write_free(a);
    return used;
}

static int unpack_one(const char *dir, const char *name, mode_t type,
                      const char *link)
{
    struct tp_error err = {0};
    char data[32768];
    size_t len = make_tar(data, sizeof(data), name, type, link);
    int rc = chart_archive_unpack(data, len, dir, &err);

    ck_assert(rc == 0 || err.text[0]);
    return rc;
}

START_TEST(names_that_leave_the_directory_are_refused)
{
    static const char *const bad[] = {"../x", "a/../../x", "/tmp/tp-check-x",
                                      "..", "a/.."};
    char top[] = "/tmp/tp-check-chart.XXXXXX";
    cleanup_free char *dir = NULL;

    ck_assert_ptr_nonnull(mkdtemp(top));
    dir = in(top, "in");
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert_int_eq(unpack_one(dir, "a", AE_IFDIR, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(unpack_one(dir, bad[i], AE_IFREG, NULL), -EBADMSG);
    ck_assert_uint_eq(mode_of(top, "x"), 0);
    ck_assert_int_eq(access("/tmp/tp-check-x", F_OK), -1);
    ck_assert_int_eq(unpack_one(dir, "a/..b", AE_IFREG, NULL), 0);
    ck_assert_uint_eq(mode_of(dir, "a/..b"), S_IFREG | 0600);
    ck_assert_int_eq(chart_archive_remove(top), 0);
}
END_TEST

START_TEST(only_files_and_directories_are_made)
{
    char dir[] = "/tmp/tp-check-chart.XXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(unpack_one(dir, "l", AE_IFLNK, "/etc/passwd"), -EBADMSG);
    ck_assert_int_eq(unpack_one(dir, "f", AE_IFIFO, NULL), -EBADMSG);
    ck_assert_int_eq(unpack_one(dir, "h", AE_IFREG, "/etc/passwd"), -EBADMSG);
    ck_assert_int_eq(unpack_one(dir, "twice", AE_IFREG, NULL), 0);
    ck_assert_int_eq(unpack_one(dir, "twice", AE_IFREG, NULL), -EEXIST);
    ck_assert_int_eq(chart_archive_remove(dir), 0);
}
END_TEST

START_TEST(a_damaged_archive_is_an_error_at_every_length)
{
    char dir[] = "/tmp/tp-check-chart.XXXXXX";
    struct tp_error err = {0};

    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (size_t len = 1; len < chart_archive_size - 8; len += 997) {
        cleanup_free char *sub = in(dir, "sub");

        ck_assert_int_eq(mkdir(sub, 0700), 0);
        ck_assert_int_lt(
            chart_archive_unpack(chart_archive_data, len, sub, &err), 0);
        ck_assert_int_eq(chart_archive_remove(sub), 0);
    }
    ck_assert_int_eq(chart_archive_remove(dir), 0);
}
END_TEST

START_TEST(removal_does_not_follow_links)
{
    char dir[] = "/tmp/tp-check-chart.XXXXXX";
    char other[] = "/tmp/tp-check-chart.XXXXXX";
    cleanup_free char *link = NULL;
    cleanup_free char *file = NULL;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_ptr_nonnull(mkdtemp(other));
    file = in(other, "kept");
    ck_assert_int_eq(close(open(file, O_CREAT | O_WRONLY, 0600)), 0);
    link = in(dir, "link");
    ck_assert_int_eq(symlink(other, link), 0);
    ck_assert_int_eq(chart_archive_remove(dir), 0);
    ck_assert_int_eq(access(file, F_OK), 0);
    ck_assert_int_eq(chart_archive_remove(other), 0);
}
END_TEST

/* The arguments, joined by blanks; the caller frees. */
static char *composed(const struct chart_helm_request *req)
{
    struct tp_error err = {0};
    cleanup_free char **argv = chart_helm_argv(req, &err);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    ck_assert_ptr_nonnull(argv);
    for (size_t i = 0; argv[i]; i++)
        fprintf(out, "%s%s", i ? " " : "", argv[i]);
    fclose(out);
    return text;
}

static void check_command(const char *action, char **args, const char *wanted)
{
    struct chart_helm_request req = {
        .action = action, .chart = "/c/tp", .args = args};
    cleanup_free char *text = composed(&req);

    ck_assert_str_eq(text, wanted);
}

START_TEST(helm_gets_release_chart_and_namespace)
{
    char *none[] = {NULL};
    char *named[] = {(char *)"mine", (char *)"--wait", NULL};
    char *flags[] = {(char *)"-f", (char *)"v.yaml", NULL};

    check_command("install", none,
                  "helm install tp /c/tp --namespace tp-system "
                  "--create-namespace");
    check_command("upgrade", named,
                  "helm upgrade mine /c/tp --namespace tp-system "
                  "--create-namespace --wait");
    check_command("lint", flags,
                  "helm lint /c/tp --namespace tp-system -f v.yaml");
    check_command("uninstall", none, "helm uninstall tp --namespace tp-system");
    check_command("values", none,
                  "helm show values /c/tp --namespace tp-system");
}
END_TEST

START_TEST(helm_gets_kubeconfig_and_context)
{
    char *flags[] = {(char *)"--set", (char *)"replicas=1", NULL};
    struct chart_helm_request req = {.action = "template",
                                     .chart = "/c/tp",
                                     .namespace = "ns",
                                     .kubeconfig = "/k",
                                     .context = "kind",
                                     .args = flags};
    cleanup_free char *text = composed(&req);

    ck_assert_str_eq(text, "helm template tp /c/tp --namespace ns --kubeconfig "
                           "/k --kube-context kind --set replicas=1");
}
END_TEST

START_TEST(an_unknown_action_names_the_known)
{
    struct tp_error err = {0};
    struct chart_helm_request req = {.action = "instal", .chart = "/c"};

    ck_assert_ptr_null(chart_helm_argv(&req, &err));
    ck_assert_int_eq(err.code, -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, chart_helm_actions()));
}
END_TEST

static int run_shell(const char *script)
{
    struct tp_error err = {0};
    char *argv[] = {(char *)"helm", (char *)"-c", (char *)script, NULL};

    return chart_helm_run("sh", argv, &err);
}

START_TEST(the_exit_status_is_helms)
{
    struct tp_error err = {0};
    char *argv[] = {(char *)"helm", NULL};

    ck_assert_int_eq(run_shell("exit 0"), 0);
    ck_assert_int_eq(run_shell("exit 7"), 7);
    ck_assert_int_eq(run_shell("kill -KILL $$"), 128 + SIGKILL);
    ck_assert_int_eq(chart_helm_run("/no/such/helm", argv, &err), -ENOENT);
}
END_TEST

START_TEST(signals_reach_helm_and_it_decides)
{
    /* The parent is this process: it must pass the signal on and live. */
    ck_assert_int_eq(run_shell("trap 'exit 5' TERM; kill -TERM $PPID; "
                               "while :; do sleep 0.1; done"),
                     5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chart");
    TCase *tc = tcase_create("chart");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, the_carried_chart_is_extracted_for_the_user_alone);
    tcase_add_test(tc, extraction_without_a_directory_says_so);
    tcase_add_test(tc, names_that_leave_the_directory_are_refused);
    tcase_add_test(tc, only_files_and_directories_are_made);
    tcase_add_test(tc, a_damaged_archive_is_an_error_at_every_length);
    tcase_add_test(tc, removal_does_not_follow_links);
    tcase_add_test(tc, helm_gets_release_chart_and_namespace);
    tcase_add_test(tc, helm_gets_kubeconfig_and_context);
    tcase_add_test(tc, an_unknown_action_names_the_known);
    tcase_add_test(tc, the_exit_status_is_helms);
    tcase_add_test(tc, signals_reach_helm_and_it_decides);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
