/* link_bench_cert.h - a self-signed certificate that protects nothing: it was
 * made for tests/bench alone and is published here with its key. */
#ifndef TP_TESTS_BENCH_CERT_H
#define TP_TESTS_BENCH_CERT_H

static const char link_bench_cert[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBgDCCASagAwIBAgIUZJnwoKuHBF15BYL+Hk+4E298+sswCgYIKoZIzj0EAwIw\n"
    "DTELMAkGA1UEAwwCdHAwIBcNMjYxMTIzMTYwMTU5WhgPMjEyNjEwMzAxNjAxNTla\n"
    "MA0xCzAJBgNVBAMMAnRwMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJunLsGdY\n"
    "520j8lquhybfp3S1vRIK7SnLugcLjARngaakEK+6+B0rcRTv+tys1bmQBuCtNciV\n"
    "Qe+pDZMwtOFhD6NiMGAwHQYDVR0OBBYEFG3qSXdQXKgZyrtXe7W9zCyJfQnLMB8G\n"
    "A1UdIwQYMBaAFG3qSXdQXKgZyrtXe7W9zCyJfQnLMA8GA1UdEwEB/wQFMAMBAf8w\n"
    "DQYDVR0RBAYwBIICdHAwCgYIKoZIzj0EAwIDSAAwRQIgUKAXAhmzbG9fHF24NQi2\n"
    "v1/Hx92ZT3aCLPlnAUctnYICIQCNj7y0ng4NvhrS2Lz6rRcnhJvXVP+Mm0y8U6dw\n"
    "qSnqwg==\n"
    "-----END CERTIFICATE-----\n";

static const char link_bench_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLUNOnhziQRJ0Dopo\n"
    "zzgKYEsu7xHE3dBPjShAEmbla0ShRANCAAQm6cuwZ1jnbSPyWq6HJt+ndLW9Egrt\n"
    "Kcu6BwuMBGeBpqQQr7r4HStxFO/63KzVuZAG4K01yJVB76kNkzC04WEP\n"
    "-----END PRIVATE KEY-----\n";

#endif
