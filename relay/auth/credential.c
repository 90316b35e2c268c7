/* Accounts and their credentials.
 *
 * The NT hash, not the password, goes to GSSAPI: gss_acquire_cred_with_password leaks, and its
 * store key for passwords is handed to every mechanism. An NTLM credential handed to SPNEGO is
 * silently replaced by the process's default one (a wrong password was seen to be accepted that
 * way), so SPNEGO gets a credential acquired for itself, then restricted to NTLM.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/md4.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/base/utf16.h"
#include "relay/auth/auth_internal.h"

#define ACCOUNT_SIZE_MAX 512       /* bytes of user or domain, far over Windows' own limits */
#define PASSWORD_SIZE_MAX 2048     /* bytes of UTF-16; Windows stops at 256 characters */
#define NETBIOS_NAME_LENGTH_MAX 15 /* RFC 1002: 16 with the suffix byte */

#define NTLM_OID "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"
#define SPNEGO_OID "\x2b\x06\x01\x05\x05\x02"

static char ntlm_oid_bytes[] = NTLM_OID;
static char spnego_oid_bytes[] = SPNEGO_OID;
const gss_OID_desc auth_oid_ntlm = {sizeof NTLM_OID - 1, ntlm_oid_bytes};
const gss_OID_desc auth_oid_spnego = {sizeof SPNEGO_OID - 1, spnego_oid_bytes};

void auth_setup(void)
{
    char host[256] = "";
    char name[NETBIOS_NAME_LENGTH_MAX + 1] = "PUSHER";
    if (gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' && host[0] != '.') {
        size_t i = 0;
        for (; i < NETBIOS_NAME_LENGTH_MAX && host[i] != '\0' && host[i] != '.'; i++)
            name[i] = (char)toupper((unsigned char)host[i]);
        name[i] = '\0';
    }
    /* With both names set, gss-ntlmssp does not ask winbind (a socket, and it may block). */
    setenv("NETBIOS_COMPUTER_NAME", name, 0);
    setenv("NETBIOS_DOMAIN_NAME", "WORKGROUP", 0);
    setenv("LM_COMPAT_LEVEL", "5", 1); /* NTLMv2 only */
    unsetenv("NTLM_USER_FILE");        /* no default credential from a file */
    unsetenv("GSSNTLMSSP_DEBUG");      /* its trace holds key material */
}

int auth_gss_error(struct err *err, const char *what, OM_uint32 major, OM_uint32 minor)
{
    enum err_code code = ERR_INTERNAL;
    switch (GSS_ROUTINE_ERROR(major)) {
    case GSS_S_DEFECTIVE_TOKEN:
    case GSS_S_NO_CONTEXT: /* a message of the wrong type for this moment */
        code = ERR_PROTOCOL;
        break;
    case GSS_S_BAD_SIG: /* the same number as GSS_S_BAD_MIC */
    case GSS_S_UNAUTHORIZED:
        code = ERR_DENIED;
        break;
    case GSS_S_CONTEXT_EXPIRED:
        code = ERR_TIMEOUT;
        break;
    case GSS_S_BAD_MECH:
        code = ERR_UNAVAILABLE;
        break;
    default:
        break;
    }
    OM_uint32 ignored = 0;
    OM_uint32 more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    if (gss_display_status(&ignored, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text) ==
        GSS_S_COMPLETE) {
        err_set_native(err, code, (int64_t)minor, "%s: %.*s (minor status 0x%08x)", what,
                       (int)text.length, (const char *)text.value, (unsigned)minor);
        gss_release_buffer(&ignored, &text);
    } else {
        err_set_native(err, code, (int64_t)minor, "%s: status 0x%08x (minor status 0x%08x)", what,
                       (unsigned)major, (unsigned)minor);
    }
    return -1;
}

/* An account as NTLM sends it. */
struct account {
    char user[ACCOUNT_SIZE_MAX];
    char domain[ACCOUNT_SIZE_MAX]; /* "" when the target decides */
};

static int set_part(char *to, const char *from, size_t length, struct err *err)
{
    if (length >= ACCOUNT_SIZE_MAX)
        return err_set(err, ERR_INVALID, "account name is longer than %d bytes",
                       ACCOUNT_SIZE_MAX - 1);
    memcpy(to, from, length);
    to[length] = '\0';
    return 0;
}

static int parse_account(const char *text, struct account *account, struct err *err)
{
    if (!utf8_valid(text))
        return err_set(err, ERR_INVALID, "account name is not UTF-8");
    const char *slash = strchr(text, '\\');
    const char *user = slash != NULL ? slash + 1 : text;
    size_t domain_length = slash != NULL ? (size_t)(slash - text) : 0;
    if (domain_length == 1 && text[0] == '.')
        domain_length = 0;
    else if (slash != NULL && domain_length == 0)
        return err_set(err, ERR_INVALID, "account name has nothing before its backslash");
    if (user[0] == '\0' || strchr(user, '\\') != NULL || user[0] == '@')
        return err_set(err, ERR_INVALID,
                       "account name must be user, DOMAIN\\user, user@realm or .\\user");
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            return err_set(err, ERR_INVALID, "account name has a control character");
    if (set_part(account->domain, text, domain_length, err) != 0)
        return -1;
    return set_part(account->user, user, strlen(user), err);
}

/* The name in gss-ntlmssp's notation: an '@' of the user part is escaped ("user\@realm" keeps it in
 * the user name, with no domain). */
static gss_name_t import_account(const struct account *account, OM_uint32 *major, OM_uint32 *minor)
{
    struct buf text;
    buf_init(&text, 4 * (size_t)ACCOUNT_SIZE_MAX);
    const char *at = strchr(account->user, '@');
    if (at != NULL)
        buf_printf(&text, "%.*s\\%s", (int)(at - account->user), account->user, at);
    else if (account->domain[0] != '\0')
        buf_printf(&text, "%s\\%s", account->domain, account->user);
    else
        buf_text(&text, account->user);
    gss_buffer_desc buffer = {text.size, text.data};
    gss_name_t name = GSS_C_NO_NAME;
    *major = gss_import_name(minor, &buffer, GSS_C_NT_USER_NAME, &name);
    buf_release(&text);
    return name;
}

int auth_nt_hash(const char *password, uint8_t hash[AUTH_NT_HASH_SIZE], struct err *err)
{
    struct buf utf16;
    buf_init(&utf16, PASSWORD_SIZE_MAX);
    buf_zero(&utf16, PASSWORD_SIZE_MAX); /* growing would leave copies behind */
    buf_reset(&utf16);
    if (utf16_from_utf8(&utf16, password) != 0 || !buf_ok(&utf16)) {
        buf_wipe(&utf16);
        buf_release(&utf16);
        return err_set(err, ERR_INVALID, "password is not UTF-8 or is too long");
    }
    struct md4_ctx md4;
    md4_init(&md4);
    md4_update(&md4, utf16.size, utf16.data);
    md4_digest(&md4, AUTH_NT_HASH_SIZE, hash);
    explicit_bzero(&md4, sizeof md4);
    buf_wipe(&utf16);
    buf_release(&utf16);
    return 0;
}

/* As gss-ntlmssp's store takes it: upper-case hexadecimal digits. */
static int nt_hash_digits(const char *password, char hex[2 * AUTH_NT_HASH_SIZE + 1],
                          struct err *err)
{
    uint8_t hash[AUTH_NT_HASH_SIZE];
    if (auth_nt_hash(password, hash, err) != 0)
        return -1;
    hex_encode(hash, sizeof hash, hex);
    for (char *p = hex; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    explicit_bzero(hash, sizeof hash);
    return 0;
}

static int acquire(const gss_OID_desc *mechanism, gss_name_t name,
                   const gss_key_value_set_desc *store, gss_cred_id_t *handle, struct err *err)
{
    OM_uint32 minor = 0;
    gss_OID_desc oid = *mechanism;
    gss_OID_set_desc mechanisms = {1, &oid};
    OM_uint32 major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &mechanisms,
                                            GSS_C_INITIATE, store, handle, NULL, NULL);
    if (GSS_ERROR(major))
        return auth_gss_error(err, "cannot make the credential", major, minor);
    return 0;
}

static int acquire_all(struct auth_credential *credential, gss_name_t name, const char *hash,
                       struct err *err)
{
    gss_key_value_element_desc element = {"ntlmssp_nthash", hash};
    const gss_key_value_set_desc store = {1, &element};
    if (acquire(&auth_oid_ntlm, name, &store, &credential->ntlm, err) != 0)
        return -1;
    if (acquire(&auth_oid_spnego, name, &store, &credential->spnego, err) != 0)
        return -1;
    OM_uint32 minor = 0;
    gss_OID_desc ntlm = auth_oid_ntlm;
    gss_OID_set_desc only_ntlm = {1, &ntlm};
    OM_uint32 major = gss_set_neg_mechs(&minor, credential->spnego, &only_ntlm);
    if (GSS_ERROR(major))
        return auth_gss_error(err, "cannot restrict SPNEGO to NTLM", major, minor);
    return 0;
}

int auth_credential_new(const char *account_text, const char *password,
                        struct auth_credential **credential, struct err *err)
{
    struct account account = {0};
    char hash[2 * AUTH_NT_HASH_SIZE + 1];
    if (parse_account(account_text, &account, err) != 0 || nt_hash_digits(password, hash, err) != 0)
        return -1;
    OM_uint32 major = 0;
    OM_uint32 minor = 0;
    gss_name_t name = import_account(&account, &major, &minor);
    if (GSS_ERROR(major)) {
        explicit_bzero(hash, sizeof hash);
        return auth_gss_error(err, "cannot use the account name", major, minor);
    }
    struct auth_credential *made = mem_new(1, sizeof *made);
    int result = acquire_all(made, name, hash, err);
    explicit_bzero(hash, sizeof hash);
    gss_release_name(&minor, &name);
    if (result != 0) {
        auth_credential_free(made);
        return -1;
    }
    *credential = made;
    return 0;
}

void auth_credential_free(struct auth_credential *credential)
{
    OM_uint32 minor = 0;
    if (credential == NULL)
        return;
    gss_release_cred(&minor, &credential->spnego);
    gss_release_cred(&minor, &credential->ntlm);
    free(credential);
}
