//! The help text.

/// `mqtt-bench --help`.
pub(crate) const HELP: &str = "\
Load generator for any MQTT broker. It checks loss, duplicates and order of every message.

Usage: mqtt-bench SCENARIO [OPTION]...

Scenarios
  pub      publishers, and nobody listening
  fanin    many publishers, one subscriber
  fanout   one publisher, many subscribers
  pairs    as many publishers as subscribers, each with a topic of its own
  wild     many wildcard filters, topic names drawn at random, each matching two of them
  shared   one share group
  paced    pairs at a fixed rate
  slow     paced pairs, first alone, then beside subscribers that never read, or with a flood into these
  idle     connections that are merely held
  connect  all clients come, then all go, round after round
  churn    clients that connect, subscribe, publish one message to themselves and leave, again and again
  subscribe  a million exact subscriptions: time and memory
  retain   a million retained messages: time and memory
  soak     mixed traffic with churn; it has options of its own, see mqtt-bench soak --help
  kills    kills a broker under load and compares the histories of all clients; see mqtt-bench kills --help

Servers
  relay    passes the bytes of a scenario on, the limit of the machine; see mqtt-bench relay --help

Results
  compare  shows result files side by side, with quotients; see mqtt-bench compare --help

Where and how
  --broker HOST:PORT     [127.0.0.1:1883]
  --pid PID              the broker's process: its CPU time and memory are reported
  --mqtt 3.1.1|5.0       protocol version [3.1.1]
  --tls                  TLS, with --ca FILE (PEM, whom to trust) or --insecure (any certificate is taken)
  --websocket            MQTT over WebSocket; with --tls within TLS
  --path PATH            of the WebSocket [/mqtt]
  --source ADDRESS       where connections come from; named several times, the addresses take turns [the kernel's
                         choice; to 127.0.0.1 a further address of that network for every 8000 connections]
  --keep-alive SECONDS   that clients announce; they send no PINGREQ [0, none]
  --threads N            of the generator; connections are dealt out to them in turn [1]
  --timeout SECONDS      give up after so long without any progress [15]

Load
  --publishers N         [pub 1, fanin 1000, fanout 1, pairs 500, wild 10, shared 10, paced 100,
                         slow 100, retain 10]
  --subscribers N        [fanin 1, fanout 1000, wild 1000, shared 10 (there also --members)]; as many
                         as publishers in pairs, paced and slow
  --qos 0|1|2            of publishes and subscriptions [0]
  --window N             QoS 1 and 2 publishes in flight, per publisher [20]
  --payload BYTES        from 16, the stamp of number, sequence and time [64; slow 1024]
  --burst N              most publishes in one write [64]
  --outstanding N        most deliveries outstanding [fanin 10000, fanout 50000, others 5000]
  --topic-per-publisher  each publisher has its own topic name (fanin, fanout, pub, shared)
  --rate N               messages per second over all publishers; latency then counts from the moment a
                         message was due [as fast as it goes; paced and slow 10000]
  --seconds S            publish for so long, warm-up included [5]
  --messages N           or: so many messages by each publisher
  --warmup SHARE         of seconds or messages, 0 to 0.9, not counted [0.2]

wild, subscribe
  --filters N            spread over the subscribers; in wild half with a + in their fifth level, half in their
                         fourth, in subscribe exact ones of 40 bytes [100000; subscribe 1000000]
  --per-packet N         topic filters in one SUBSCRIBE [100]

retain
  --topics N             of 40 bytes, each with a retained message [1000000]
  --keep                 leave the messages there; without, they are taken back in the end

slow
  --deaf N               subscribers that never read [1]
  --flood N              clients that publish QoS 0 as fast as their sockets take it, all the time; the pairs are then
                         measured beside that alone, and beside those subscribers, which hear nothing but the flood [0]
  --read-rate BYTES      what each of those subscribers reads in a second, with --flood [0, never]

idle, connect, subscribe
  --connections N        [19000; subscribe 1000]
  --subscribe            one subscription each
  --handshakes N         connections that come or go at once, in all scenarios but churn [64]
  --hold SECONDS         before memory is read [3]; in subscribe and retain before and behind

idle
  --burst-bytes N        then one message of so many bytes from each connection, which hears it if it subscribed
  --settle SECONDS       before memory is read again [5]

connect
  --rounds N             how often all connections come and go [3]

churn
  --clients N            that come and go [64]; --messages N is so many connections of each

Result
  --json FILE            write the result there as well
  --progress SECONDS     between two lines on standard error that tell how far it is [1 on a terminal, else none]
  --quiet                no such lines
  --help, --version

The exit status is 0 only if every message arrived once and in order; 2 means a mistaken command line.
";
