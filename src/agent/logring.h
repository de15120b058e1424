/*
 * logring.h - the last lines of the log, for who asks over the link
 *
 * `tp gather-logs` wants the agent's log without rights on the pod's.
 */
#ifndef TP_AGENT_LOGRING_H
#define TP_AGENT_LOGRING_H

#define LOGRING_SIZE 65536

struct logring;

/* Takes the log's lines from here on (log_set_tap()). NULL if out of memory. */
struct logring *logring_create(void);
void logring_destroy(struct logring *r);

/* The lines, oldest first, each with a newline; owned by the caller. What is
 * not ASCII is '?'. NULL if out of memory. */
char *logring_text(const struct logring *r);

#endif
