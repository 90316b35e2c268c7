/* Every limit that more than one room must agree on. Sizes include the NUL where they are of
 * strings. */
#ifndef PUSHER_MODEL_LIMITS_H
#define PUSHER_MODEL_LIMITS_H

#define LIMIT_TARGET_NAME_SIZE 256    /* a DNS name has at most 253 characters */
#define LIMIT_ADDRESS_SIZE 64         /* IPv6 text with scope */
#define LIMIT_DETAIL_SIZE 256         /* sentence in an outcome */
#define LIMIT_SITE_NAME_SIZE 64       /* site and relay names */
#define LIMIT_PACKAGE_NAME_SIZE 256   /* file name on the target, UTF-8 */
#define LIMIT_COMMAND_SIZE 1024       /* Exec/Command, UTF-8 */
#define LIMIT_ARGUMENTS_SIZE 8192     /* Exec/Arguments, UTF-8 */
#define LIMIT_ACCOUNT_SIZE 320        /* DOMAIN\user or user@realm */
#define LIMIT_SECRET_SIZE 1024        /* password, UTF-8 */
#define LIMIT_SUCCESS_CODES 32U       /* exit codes that count as success */
#define LIMIT_OUTPUT_BYTES 65536U     /* the last bytes of a package's output, --wait */
#define LIMIT_TARGETS_MAX 4194304U    /* targets in one push */
#define LIMIT_CIDR_TARGETS_MAX 65536U /* addresses one CIDR or range may stand for */
#define LIMIT_PACKAGE_BYTES_MAX (64ULL << 30)
#define LIMIT_MESSAGE_BYTES_MAX 262144U /* one message on any link (ZMQ_MAXMSGSIZE) */
#define LIMIT_ROWS_PER_MESSAGE                                                                     \
    256U                           /* results, lease entries, report rows, targets in one message */
#define LIMIT_CHUNK_BYTES 131072U  /* package bytes in one message */
#define LIMIT_POLICY_OPERATORS 64U /* operators' keys in a policy */
#define LIMIT_POLICY_COORDINATORS 8U /* coordinator's keys in a policy */
#define LIMIT_POLICY_REVOKED 1024U   /* relays' keys that a policy revokes */
#define LIMIT_NEVER_ENTRIES 4096U    /* never-touch: names, and subnets; 64 KiB bound them, too */
#define LIMIT_SITE_SUBNETS 1024U     /* of one site, and of one certificate */
#define LIMIT_SITE_PATTERNS 256U     /* name patterns of one site */
#define LIMIT_SITES_MAX 4096U        /* sites of one coordinator */
#define LIMIT_RELAYS_MAX 8192U       /* relays of one coordinator */
#define LIMIT_ENDPOINT_SIZE 256      /* "tcp://host:port" */
#define LIMIT_DIGEST_BYTES 32        /* SHA-256 */
#define LIMIT_KEY_BYTES 32           /* Ed25519 and X25519 public keys */
#define LIMIT_SIGNATURE_BYTES 64     /* Ed25519 */

#endif
