/*
 * session_state.h - the states of a session, and which may follow which
 */
#ifndef TP_DAEMON_SESSION_STATE_H
#define TP_DAEMON_SESSION_STATE_H

#include <stdbool.h>
#include <stdint.h>

enum session_state {
    SESSION_IDLE,       /* no session; nothing is captured */
    SESSION_CONNECTING, /* the first link, or a new one, is being made */
    SESSION_CONNECTED,  /* there is a link; cluster traffic flows */
    SESSION_WAITING,    /* no link; dialled again after a while */
    SESSION_REFUSED,    /* permanent until `connect` comes again */
};

#define SESSION_STATES 5

const char *session_state_name(enum session_state s);
bool session_state_may_follow(enum session_state from, enum session_state to);

/* How long to wait before attempt n (0, 1, ...) in ms: full jitter between 200
 * ms and 200 ms * 2^n, at most 15 s. `random` is any number. */
uint64_t session_backoff_ms(unsigned n, uint32_t random);

#endif
