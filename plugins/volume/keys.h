/* keys.h - what `tp volume install` puts into the plugin's root file system;
 * src/cli/volume_keys.h names the same files */
#ifndef TP_VOLUME_KEYS_H
#define TP_VOLUME_KEYS_H

#define KEYS_DIR  "/etc/tp"
#define KEYS_CERT "plugin.crt"
#define KEYS_KEY  "plugin.key"
#define KEYS_PEER "daemon.crt"
#define KEYS_DAEMON_NAME                                                       \
    "tp-daemon" /* that the daemon's certificate is for                        \
                 */

#endif
