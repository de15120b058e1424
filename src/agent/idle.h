/*
 * idle.h - `tp-agent idle`: what runs in the place of a replaced container
 */
#ifndef TP_AGENT_IDLE_H
#define TP_AGENT_IDLE_H

/* As PID 1: reaps what others leave and ends at SIGTERM or SIGINT. Returns an
 * exit status. */
int idle_run(void);

#endif
