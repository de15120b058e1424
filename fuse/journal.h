/* journal.h - log lines to the system's log as well */
#ifndef TP_FUSE_JOURNAL_H
#define TP_FUSE_JOURNAL_H

/* Opens it now: later the process may open nothing. */
void journal_open(void);

#endif
