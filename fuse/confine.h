/*
 * confine.h - what a process that parses a server's bytes may still do
 */
#ifndef TP_FUSE_CONFINE_H
#define TP_FUSE_CONFINE_H

#include "base/error.h"

/* Before the first byte on a network: only the system calls that a mount needs;
 * everything else is EPERM. Files may still be opened for reading (the
 * resolver's), until confine_files(). */
int confine_calls(struct tp_error *err);
int confine_files(struct tp_error *err);

#endif
