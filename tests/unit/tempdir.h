/* tempdir.h - a directory of one test's own */
#ifndef TP_TESTS_TEMPDIR_H
#define TP_TESTS_TEMPDIR_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes /tmp/tp-check-XXXXXX; its path goes to dir. */
static inline void tempdir_make(char dir[64])
{
    strcpy(dir, "/tmp/tp-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* With everything in it. */
static inline void tempdir_remove(const char *dir)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

#endif
