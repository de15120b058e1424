/*
 * udp_capture.h - captured UDP: one flow for each pair of addresses
 *
 * A refusal that comes back from the far end (ICMP port unreachable there)
 * ends the flow; the program sees nothing of it, as with a lost datagram.
 */
#ifndef TP_DAEMON_UDP_CAPTURE_H
#define TP_DAEMON_UDP_CAPTURE_H

#include <uv.h>

#include "base/error.h"
#include "daemon/capture_set.h"
#include "daemon/dns.h"
#include "daemon/shortcut.h"
#include "daemon/vnat.h"
#include "tunnel/tunnel.h"

#define UDP_CAPTURE_FLOWS_MAX   4096
#define UDP_CAPTURE_QUERIES_MAX 4096

struct udp_capture;

/* `dns` is borrowed. */
struct udp_capture *udp_capture_create(uv_loop_t *loop, struct dns *dns,
                                       struct tp_error *err);
void udp_capture_destroy(struct udp_capture *uc);

/* The receiver's port, 0 if the namespace has not that family. */
uint16_t udp_capture_port(const struct udp_capture *uc, int family);

/* The set is borrowed until replaced. */
void udp_capture_set_routes(struct udp_capture *uc,
                            const struct capture_set *set,
                            const struct vnat *vnat,
                            const union sockaddr_any *dns);
void udp_capture_set_tunnel(struct udp_capture *uc, struct tunnel *t);

/* New flows ask it first; flows whose shortcut ends go on in the cluster. */
void udp_capture_set_shortcuts(struct udp_capture *uc,
                               const struct shortcuts *shortcuts);

unsigned udp_capture_flows(const struct udp_capture *uc);

#endif
