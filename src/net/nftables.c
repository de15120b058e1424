#include "net/nftables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nftables/libnftables.h>

/* nft's message in one line; the first is the one that tells most. */
static void one_line(char *text)
{
    text[strcspn(text, "\n")] = '\0';
}

int nftables_run(const char *commands, bool dry, struct tp_error *err)
{
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    char text[256];
    int rc;

    if (!ctx)
        return tp_error_set(err, -ENOMEM, "nftables: no context");
    nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_NUMERIC_ALL);
    nft_ctx_set_dry_run(ctx, dry);
    errno = 0;
    if (nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
        nft_ctx_free(ctx);
        return tp_error_set(err, -ENOMEM, "nftables: no buffer");
    }
    if (nft_run_cmd_from_buffer(ctx, commands) == 0) {
        nft_ctx_free(ctx);
        return 0;
    }
    rc = errno > 0 ? -errno : -EIO;
    snprintf(text, sizeof(text), "%s", nft_ctx_get_error_buffer(ctx));
    nft_ctx_free(ctx);
    one_line(text);
    return tp_error_set(err, rc, "nftables: %s", text);
}
