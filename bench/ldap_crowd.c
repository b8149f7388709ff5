/* Who is in the way while others are served? Many bound connections that are idle, or dreadfully slow.
 *
 *     ldap_crowd PORT CONNECTIONS BIND EXCHANGES idle
 *     ldap_crowd PORT CONNECTIONS BIND EXCHANGES slow MILLISECONDS
 *
 * Opens and binds all of them, prints `held`, and goes on until its standard input ends. The slow ones send the
 * first search of the file an octet at a time, one octet every so many milliseconds each, over and over; one
 * that the server puts an end to is opened again. At the end every idle connection must still be there, and
 * answers the search. Prints as JSON how many connections were held, how many searches were answered, how many
 * octets were sent slowly, and how many connections the server ended.
 */

#define _GNU_SOURCE
#include "ldap_client.h"

#include <sys/epoll.h>

struct crowd {
    struct connection *connections;
    size_t *sent; /* Octets of its search, by connection. */
    size_t number;
    uint16_t port;
    struct octets bind;
    const struct exchange *exchange;
    int poll;
    size_t answered, octets, ended;
};

static void open_one(struct crowd *crowd, size_t i) {
    struct epoll_event readable = {.events = EPOLLIN, .data.u64 = i};
    open_connection(&crowd->connections[i], crowd->port, crowd->bind);
    free(crowd->connections[i].buffer);
    crowd->connections[i].buffer = NULL;
    crowd->connections[i].entries = 0;
    crowd->connections[i].asked = crowd->exchange;
    crowd->sent[i] = 0;
    epoll_ctl(crowd->poll, EPOLL_CTL_ADD, crowd->connections[i].socket, &readable);
}

static void open_again(struct crowd *crowd, size_t i) {
    close(crowd->connections[i].socket);
    crowd->ended++;
    open_one(crowd, i);
}

/* Whether the server has put an end to it: with a notice of disconnection (RFC 4511 section 4.4.1), or without. */
static bool is_ended(struct connection *connection) {
    uint8_t first[8];
    ssize_t got = recv(connection->socket, first, sizeof first, MSG_PEEK);
    struct octets rest = {first, got > 0 ? (size_t)got : 0};
    if (got <= 0) return true;
    for (size_t i = 0; i + 1 < rest.size; i++)
        if (first[i] == EXTENDED_RESPONSE && i >= 3 && first[i - 3] == 0x02 && first[i - 1] == 0x00) return true;
    return false;
}

static void listen_for(struct crowd *crowd, int milliseconds) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(crowd->poll, events, EVENTS, milliseconds);
    if (ready < 0) die("epoll: %s", strerror(errno));
    for (int e = 0; e < ready; e++) {
        size_t i = events[e].data.u64;
        if (is_ended(&crowd->connections[i]))
            open_again(crowd, i);
        else if (is_answered(&crowd->connections[i])) {
            crowd->answered++;
            crowd->connections[i].entries = 0;
        }
    }
}

static void send_an_octet(struct crowd *crowd, size_t i) {
    struct octets request = crowd->exchange->request;
    struct connection *connection = &crowd->connections[i];
    if (send(connection->socket, request.at + crowd->sent[i], 1, MSG_NOSIGNAL) != 1) {
        open_again(crowd, i);
        return;
    }
    crowd->sent[i] = (crowd->sent[i] + 1) % request.size;
    crowd->octets++;
}

static bool is_over(void) { /* Nothing is ever written to standard input; it ends. */
    uint8_t octet;
    return read(STDIN_FILENO, &octet, 1) == 0;
}

static void be_slow(struct crowd *crowd, double interval) {
    double turn = interval / (double)crowd->number, due_at = now();
    for (size_t i = 0; !is_over(); i = (i + 1) % crowd->number) {
        for (double moment = now(); moment < due_at; moment = now())
            listen_for(crowd, (int)((due_at - moment) * 1000) + 1);
        send_an_octet(crowd, i);
        due_at += turn;
    }
}

static void be_idle(struct crowd *crowd) {
    while (!is_over()) {
        listen_for(crowd, 100);
        if (crowd->ended) die("the server ended an idle connection");
    }
    for (size_t i = 0; i < crowd->number; i++) {
        ask(&crowd->connections[i], crowd->exchange);
        while (!is_answered(&crowd->connections[i])) continue;
        crowd->answered++;
    }
}

int main(int argc, char **argv) {
    bool slow = argc == 7 && !strcmp(argv[5], "slow");
    if (!slow && (argc != 6 || strcmp(argv[5], "idle")))
        die("usage: ldap_crowd PORT CONNECTIONS BIND EXCHANGES idle | slow MILLISECONDS");
    struct exchanges exchanges = read_exchanges(argv[4]);
    size_t number = (size_t)atoi(argv[2]);
    struct crowd crowd = {
        .connections = room_for(number, sizeof *crowd.connections),
        .sent = room_for(number, sizeof *crowd.sent),
        .number = number,
        .port = (uint16_t)atoi(argv[1]),
        .bind = read_bind(argv[3]),
        .exchange = &exchanges.of[0],
        .poll = epoll_create1(EPOLL_CLOEXEC),
    };
    if (crowd.poll < 0 || fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0) die("cannot begin: %s", strerror(errno));
    for (size_t i = 0; i < number; i++) open_one(&crowd, i);
    puts("held");
    fflush(stdout);
    if (slow)
        be_slow(&crowd, atof(argv[6]) / 1000);
    else
        be_idle(&crowd);
    printf("{\"connections\": %zu, \"answered\": %zu, \"octets\": %zu, \"ended\": %zu}\n", number, crowd.answered,
           crowd.octets, crowd.ended);
    return 0;
}
