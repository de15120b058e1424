/* proxy_port.h - what the CLI and the daemon must agree on about the proxy */
#ifndef TP_BASE_PROXY_PORT_H
#define TP_BASE_PROXY_PORT_H

/* The port in the namespace, TCP and UDP: outside of the range of those that
 * the kernel gives to programs (ip_local_port_range), as a program that got it
 * would keep the proxy from its port. A joined program that wants this one does
 * not get it while there is a proxy. */
#define PROXY_PORT 61080

#define PROXY_USER "tp"

#endif
