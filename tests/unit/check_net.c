/* Unit tests of src/net: runs the suites of check_net_*.c. */
#include "check_net.h"

int main(void)
{
    SRunner *sr = srunner_create(net_stream_suite());
    int failed;

    srunner_add_suite(sr, net_http1_suite());
    srunner_add_suite(sr, net_tls_suite());
    srunner_add_suite(sr, net_websocket_suite());
    srunner_add_suite(sr, net_dial_suite());
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
