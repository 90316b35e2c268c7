/* Targets without a site get one, or end. */
#include "coordinator/routing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/signed_objects.h"
#include "coordinator/coordinator.h"

#define STEP_ROWS 1024U /* targets read in one turn of the loop */
#define WINDOW 1024U    /* names of a push that wait for an answer; fewer are in flight */

/* A name of a push that is looked up. */
struct route_name {
    struct route_name *previous, *next;
    struct route_task *task;
    struct dns_query *query;
    uint32_t target_no;
    char *name; /* owned */
};

/* Targets that go to the same site one after the other: one statement for all. */
struct route_run {
    uint32_t first_no;
    uint32_t count; /* 0: none */
    uint16_t site;  /* the store's number */
};

struct route_task {
    struct route_task *next;
    struct coordinator *c;
    uint64_t key;
    struct site_book *book;
    uint32_t site;  /* that the operator named, its place; PLAN_SITE_NONE */
    bool site_gone; /* it named one that is no more */
    uint32_t next_no;
    bool read_all;
    struct route_name *names;
    uint32_t name_count;
    struct route_run run;
};

/* ---- sites ---- */

struct site_book *site_book_use(struct site_book *book)
{
    book->user_count++;
    return book;
}

void site_book_drop(struct site_book *book)
{
    if (book == NULL || --book->user_count > 0)
        return;
    plan_free(book->plan);
    store_sites_free(book->sites, book->site_count);
    free(book);
}

int routing_reload(struct coordinator *c, struct err *err)
{
    struct site_book *book = mem_new(1, sizeof *book);
    book->user_count = 1;
    if (store_sites(c->store, &book->sites, &book->site_count, err) != 0) {
        free(book);
        return -1;
    }
    struct site *sites = mem_new(book->site_count + 1U, sizeof *sites);
    for (uint32_t i = 0; i < book->site_count; i++)
        sites[i] = book->sites[i].site;
    int result = plan_new(&book->plan, sites, book->site_count, err);
    free(sites);
    if (result != 0) {
        site_book_drop(book);
        return -1;
    }
    site_book_drop(c->routing.book);
    c->routing.book = book;
    return 0;
}

int routing_start(struct coordinator *c, struct err *err)
{
    struct routing *routing = &c->routing;
    (void)uv_idle_init(c->loop, &routing->idle);
    routing->idle.data = c;
    if (!trust_has_sites(c))
        return 0;
    if (dns_open(&routing->dns, c->loop, c->options.dns, err) != 0)
        return -1;
    return routing_reload(c, err);
}

uint16_t routing_upload_site(const struct coordinator *c)
{
    return trust_has_sites(c) ? STORE_SITE_NONE : c->site;
}

int routing_check_site(const struct coordinator *c, const char *site, struct err *err)
{
    bool known = site[0] == '\0' ||
                 (trust_has_sites(c) ? plan_find_site(c->routing.book->plan, site) != PLAN_SITE_NONE
                                     : strcmp(site, COORDINATOR_SITE) == 0);
    return known ? 0 : err_set(err, ERR_NOT_FOUND, "no site %s", site);
}

/* ---- deciding ---- */

bool routing_needs_lookup(const struct site_book *book, const char *name, uint32_t site)
{
    struct subnet_address address;
    return !subnet_address_from_text(name, &address) && plan_needs_address(book->plan, name, site);
}

static bool is_never(const struct coordinator *c, const struct plan_question *question)
{
    const struct policy *policy = &c->trust.policy;
    if (c->trust.policy_version == 0)
        return false;
    if (policy_never_name(policy, question->name))
        return true;
    for (uint32_t i = 0; i < question->address_count; i++)
        if (policy_never_address(policy, &question->addresses[i]))
            return true;
    return false;
}

struct routed routing_decide(const struct coordinator *c, const struct site_book *book,
                             const char *name, const struct dns_answer *answer, uint32_t site)
{
    struct subnet_address literal;
    struct plan_question question = {.name = name, .site = site};
    if (answer != NULL) {
        question.addresses = answer->addresses;
        question.address_count = answer->address_count;
    } else if (subnet_address_from_text(name, &literal)) {
        question.addresses = &literal;
        question.address_count = 1;
    }
    struct routed routed = {.route = plan_route(book->plan, &question)};
    if (is_never(c, &question)) {
        routed.never_touch = true;
        routed.reason = REASON_NEVER_TOUCH;
    } else if (routed.route.by == ROUTE_NOWHERE) {
        routed.reason = REASON_NOT_IN_ANY_SITE;
    } else if (routed.route.by == ROUTE_UNRESOLVED) {
        routed.reason = answer != NULL ? answer->reason : REASON_NOT_IN_ANY_SITE;
    }
    return routed;
}

/* ---- rows ---- */

static void fail(struct route_task *task, const struct err *err)
{
    shell_fail(task->c, err);
}

static void flush_run(struct route_task *task)
{
    struct err err = {0};
    const struct route_run *run = &task->run;
    if (run->count > 0 && store_target_site(task->c->store, task->key, run->first_no, run->count,
                                            run->site, &err) != 0)
        fail(task, &err);
    task->run.count = 0;
}

static void give_site(struct route_task *task, uint32_t target_no, uint16_t site)
{
    struct route_run *run = &task->run;
    if (run->count > 0 && run->site == site && run->first_no + run->count == target_no) {
        run->count++;
        return;
    }
    flush_run(task);
    *run = (struct route_run){target_no, 1, site};
}

/* What a row says that goes nowhere. */
static struct outcome outcome_of(const struct routed *routed, const char *name,
                                 const struct dns_answer *answer)
{
    struct outcome outcome = {.stage = STAGE_COUNT, .reason = routed->reason};
    char shown[128];
    outcome.state = reason_state(routed->reason);
    (void)text_printable(shown, sizeof shown, name);
    if (answer != NULL && answer->address_count > 0) {
        subnet_address_text(&answer->addresses[0], outcome.address);
    } else if (answer == NULL) {
        struct subnet_address address;
        if (subnet_address_from_text(name, &address))
            subnet_address_text(&address, outcome.address);
    }
    if (routed->never_touch) {
        (void)snprintf(outcome.detail, sizeof outcome.detail,
                       "%s is on the never-touch list of the newest policy", shown);
    } else if (routed->reason == REASON_NOT_IN_ANY_SITE) {
        (void)snprintf(outcome.detail, sizeof outcome.detail,
                       "no site has a subnet with %s, or a pattern for it",
                       outcome.address[0] != '\0' ? outcome.address : shown);
    } else if (answer != NULL) {
        outcome.stage = STAGE_RESOLVE;
        outcome.code_kind = answer->code_kind;
        outcome.code = answer->code;
        outcome.tries = answer->timeout_count + 1;
        memcpy(outcome.detail, answer->detail, sizeof outcome.detail);
    }
    return outcome;
}

static void settle(struct route_task *task, uint32_t target_no, const char *name,
                   const struct dns_answer *answer)
{
    struct err err = {0};
    struct routed routed = routing_decide(task->c, task->book, name, answer, task->site);
    if (task->site_gone)
        routed = (struct routed){.reason = REASON_NOT_IN_ANY_SITE};
    if (routed.reason == REASON_NONE) {
        give_site(task, target_no, task->book->sites[routed.route.site].no);
        return;
    }
    struct outcome outcome = outcome_of(&routed, name, answer);
    if (store_outcome(task->c->store, task->key, target_no, STORE_RELAY_NONE, &outcome, &err) != 0)
        fail(task, &err);
}

/* ---- names ---- */

static void name_free(struct route_name *name)
{
    dns_cancel(&name->query);
    free(name->name);
    free(name);
}

static void forget_name(struct route_name *name)
{
    struct route_task *task = name->task;
    if (name->previous != NULL)
        name->previous->next = name->next;
    else
        task->names = name->next;
    if (name->next != NULL)
        name->next->previous = name->previous;
    task->name_count--;
    name_free(name);
}

static void go_on(struct coordinator *c);

static void answered(void *context, const struct dns_answer *answer)
{
    struct route_name *name = context;
    struct route_task *task = name->task;
    settle(task, name->target_no, name->name, answer);
    forget_name(name);
    go_on(task->c); /* whoever is done ends there, not below a callback of the resolver */
}

static void look_up(struct route_task *task, uint32_t target_no, const char *name)
{
    struct route_name *asked = mem_new(1, sizeof *asked);
    *asked = (struct route_name){
        .next = task->names, .task = task, .target_no = target_no, .name = mem_strdup(name)};
    if (task->names != NULL)
        task->names->previous = asked;
    task->names = asked;
    task->name_count++;
    dns_ask(task->c->routing.dns, asked->name, answered, asked, &asked->query);
}

/* ---- tasks ---- */

/* A target that ended before it was routed (PACKAGE_IN_USE) is told its site when that costs no
 * question. */
static void route_row(struct route_task *task, const struct store_unrouted *row)
{
    bool lookup = !task->site_gone && routing_needs_lookup(task->book, row->name, task->site);
    if (row->state == TARGET_QUEUED && lookup) {
        look_up(task, row->target_no, row->name);
    } else if (row->state == TARGET_QUEUED) {
        settle(task, row->target_no, row->name, NULL);
    } else if (!lookup && !task->site_gone) {
        struct routed routed = routing_decide(task->c, task->book, row->name, NULL, task->site);
        if (routed.reason == REASON_NONE)
            give_site(task, row->target_no, task->book->sites[routed.route.site].no);
    }
}

static void read_rows(struct route_task *task)
{
    static struct store_unrouted rows[STEP_ROWS];
    struct err err = {0};
    uint32_t count = 0;
    if (store_unrouted(task->c->store, task->key, task->next_no, rows, STEP_ROWS, &count, &err) !=
        0) {
        fail(task, &err);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        route_row(task, &rows[i]);
        task->next_no = rows[i].target_no + 1U;
        free(rows[i].name);
    }
    flush_run(task);
    task->read_all = count < STEP_ROWS;
}

static void task_free(struct route_task *task)
{
    struct route_name *next;
    for (struct route_name *name = task->names; name != NULL; name = next) {
        next = name->next;
        name_free(name);
    }
    site_book_drop(task->book);
    free(task);
}

static struct route_task *task_take(struct coordinator *c, uint64_t key)
{
    for (struct route_task **link = &c->routing.tasks; *link != NULL; link = &(*link)->next) {
        struct route_task *task = *link;
        if (task->key != key)
            continue;
        *link = task->next;
        return task;
    }
    return NULL;
}

/* All rows have a site or have ended. A push that was stopped meanwhile stays stopped. */
static int open_routed(struct coordinator *c, uint64_t key, struct err *err)
{
    struct push_summary summary;
    char id[PUSH_ID_TEXT_SIZE];
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    if (summary.state == PUSH_ROUTING &&
        store_push_state(c->store, key, PUSH_OPEN, clock_unix_ms(), err) != 0)
        return -1;
    push_id_text(&summary.push, id);
    log_info("push %s: routed", id);
    c->commit_due = true;
    return shell_open_push(c, key, err);
}

/* A piece of work for a task; returns whether there is more that needs no answer. */
static bool step(struct coordinator *c, struct route_task *task)
{
    struct err err = {0};
    uint64_t key = task->key;
    flush_run(task);
    if (!task->read_all && task->name_count < WINDOW)
        read_rows(task);
    if (task->read_all && task->names == NULL) {
        (void)task_take(c, key);
        task_free(task);
        if (!c->stopping && open_routed(c, key, &err) != 0)
            shell_fail(c, &err);
        return false;
    }
    return !task->read_all && task->name_count < WINDOW;
}

static void on_idle(uv_idle_t *idle)
{
    struct coordinator *c = idle->data;
    bool more = false;
    struct route_task *next;
    for (struct route_task *task = c->routing.tasks; task != NULL && !c->stopping; task = next) {
        next = task->next;
        more = step(c, task) || more;
    }
    if (!more || c->stopping)
        (void)uv_idle_stop(idle);
}

static void go_on(struct coordinator *c)
{
    if (!c->stopping)
        (void)uv_idle_start(&c->routing.idle, on_idle);
}

/* ---- pushes ---- */

static struct route_task *find_task(const struct coordinator *c, uint64_t key)
{
    struct route_task *task = c->routing.tasks;
    while (task != NULL && task->key != key)
        task = task->next;
    return task;
}

bool routing_busy(const struct coordinator *c, uint64_t key)
{
    return find_task(c, key) != NULL;
}

static int begin(struct coordinator *c, uint64_t key, struct err *err)
{
    char site[LIMIT_SITE_NAME_SIZE];
    if (store_push_site(c->store, key, site, err) != 0)
        return -1;
    struct route_task *task = mem_new(1, sizeof *task);
    *task = (struct route_task){.next = c->routing.tasks,
                                .c = c,
                                .key = key,
                                .book = site_book_use(c->routing.book),
                                .site = PLAN_SITE_NONE};
    if (site[0] != '\0') {
        task->site = plan_find_site(task->book->plan, site);
        task->site_gone = task->site == PLAN_SITE_NONE;
    }
    c->routing.tasks = task;
    go_on(c);
    return 0;
}

int routing_open(struct coordinator *c, uint64_t key, struct err *err)
{
    struct push_summary summary;
    bool unrouted = false;
    if (!trust_has_sites(c))
        return shell_open_push(c, key, err);
    if (routing_busy(c, key))
        return 0;
    if (store_summary(c->store, key, &summary, err) != 0)
        return -1;
    bool waits = summary.state == PUSH_OPEN || summary.state == PUSH_ROUTING ||
                 summary.state == PUSH_STOPPED;
    if (waits && store_is_unrouted(c->store, key, &unrouted, err) != 0)
        return -1;
    if (unrouted) {
        if (summary.state == PUSH_OPEN &&
            store_push_state(c->store, key, PUSH_ROUTING, clock_unix_ms(), err) != 0)
            return -1;
        return begin(c, key, err);
    }
    if (summary.state == PUSH_ROUTING)
        return open_routed(c, key, err);
    return shell_open_push(c, key, err);
}

int routing_cancel(struct coordinator *c, uint64_t key, struct err *err)
{
    struct route_task *task = task_take(c, key);
    if (task == NULL)
        return 0;
    flush_run(task);
    task_free(task);
    return shell_open_push(c, key, err);
}

void routing_release(struct coordinator *c)
{
    struct routing *routing = &c->routing;
    route_ask_release(c);
    while (routing->tasks != NULL) {
        struct route_task *task = routing->tasks;
        routing->tasks = task->next;
        task_free(task);
    }
    dns_close(routing->dns);
    site_book_drop(routing->book);
    routing->dns = NULL;
    routing->book = NULL;
}
