// A server of the kvbench wire protocol in another language: what an author elsewhere starts from,
// and the proof that the suite needs nothing of ours but host:port. Standard library only.
//
// It has the core and INCR, MGET, MSET, MDEL (see profile.toml), and keeps these rules:
//
//   - A request is checked to its last byte before any of it is applied; refusing changes nothing.
//   - Values are stored as the bytes that came, once they are known to be a value.
//   - One lock guards the map. A batch holds it from its first key to its last, so that others see
//     all of it or nothing. No connection is read or written under it.
//   - What a request declares sizes nothing: buffers grow with the bytes that arrive.
//
// The ids in the comments are clauses of specs/wire-protocol.md.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	keyBytesMax     = 256
	nestingMax      = 256               // VALUE-012 asks for 32, VALUE-019 for 100.
	ttlMsMax        = 3_155_760_000_000 // 100 years (TTL-006).
	payloadBytesMax = 64 << 20          // Of requests (LIMIT-002), and of replies (LIMIT-011).
	connectionsMax  = 1024
	idleMax         = 10 * time.Minute
	lingerMax       = time.Second // How long a refused client may go on sending (LIMIT-009).
	sweepEvery      = time.Second
)

const (
	opGet    = 0x01
	opSet    = 0x02
	opDel    = 0x03
	opExists = 0x04
	opIncr   = 0x05
	opPing   = 0x08
	opInfo   = 0x09
	opMGet   = 0x0e
	opMSet   = 0x0f
	opMDel   = 0x10
)

const (
	statusOK      = 0x00
	statusNull    = 0x01
	statusError   = 0x02
	statusInvalid = 0x03
)

const (
	tagNull    = 0x00
	tagInt     = 0x01
	tagFloat   = 0x02
	tagDecimal = 0x03
	tagString  = 0x04
	tagBytes   = 0x05
	tagList    = 0x06
	tagMap     = 0x07
	tagBool    = 0x08
)

// ---- Reading a payload -------------------------------------------------------------------------

// A malformed request: INVALID. Every other error is ERROR.
type malformed string

func (m malformed) Error() string { return string(m) }

var decimalText = regexp.MustCompile(
	`\A[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)\z`)

// parser walks through a payload. The first error stays, and everything after it reads as nothing:
// callers ask once, at the end.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = malformed(fmt.Sprintf(format, args...))
	}
	p.rest = nil
}

func (p *parser) take(size uint64) []byte {
	if p.err != nil || size > uint64(len(p.rest)) {
		p.fail("the payload ends too early")
		return nil
	}
	taken := p.rest[:size]
	p.rest = p.rest[size:]
	return taken
}

// number reads an unsigned integer of so many bytes.
func (p *parser) number(size uint64) uint64 {
	var n uint64
	for _, b := range p.take(size) {
		n = n<<8 | uint64(b)
	}
	return n
}

// end says what was wrong, trailing bytes included.
func (p *parser) end() error {
	if p.err == nil && len(p.rest) > 0 {
		p.fail("%d bytes follow the request", len(p.rest))
	}
	return p.err
}

func (p *parser) asKey(key []byte) string {
	switch {
	case p.err != nil:
	case len(key) == 0:
		p.fail("a key is empty")
	case len(key) > keyBytesMax:
		p.fail("a key of %d bytes is longer than %d", len(key), keyBytesMax)
	case !utf8.Valid(key):
		p.fail("a key is not UTF-8")
	}
	return string(key)
}

// key reads key_len u16, key.
func (p *parser) key() string { return p.asKey(p.take(p.number(2))) }

// wholeKey takes the whole payload as the key.
func (p *parser) wholeKey() string { return p.asKey(p.take(uint64(len(p.rest)))) }

// keys reads count u16, then count keys. The slice grows with what is there (LIMIT-004).
func (p *parser) keys() []string {
	var keys []string
	for count := p.number(2); count > 0 && p.err == nil; count-- {
		keys = append(keys, p.key())
	}
	return keys
}

func (p *parser) ttl() time.Duration {
	ms := p.number(8)
	if ms > ttlMsMax {
		p.fail("a TTL of %d ms is longer than 100 years", ms)
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// value reads one value and returns a copy of its bytes.
func (p *parser) value() []byte {
	before := p.rest
	p.skipValue(0)
	if p.err != nil {
		return nil
	}
	return append([]byte{}, before[:len(before)-len(p.rest)]...)
}

func (p *parser) skipValue(depth int) {
	switch tag := p.number(1); tag {
	case tagNull:
	case tagInt, tagFloat:
		p.take(8)
	case tagDecimal:
		if text := p.take(p.number(2)); p.err == nil && !decimalText.Match(text) {
			p.fail("a Decimal is no number")
		}
	case tagString:
		if text := p.take(p.number(4)); !utf8.Valid(text) {
			p.fail("a String is not UTF-8")
		}
	case tagBytes:
		p.take(p.number(4))
	case tagList, tagMap:
		p.skipItems(tag, depth+1)
	case tagBool:
		if p.number(1) > 1 {
			p.fail("a Bool is neither 0 nor 1")
		}
	default:
		p.fail("there is no value tag %02x", tag)
	}
}

func (p *parser) skipItems(tag uint64, depth int) {
	if depth > nestingMax {
		p.fail("a value is nested deeper than %d levels", nestingMax)
	}
	for count := p.number(4); count > 0 && p.err == nil; count-- {
		if tag == tagMap && !utf8.Valid(p.take(p.number(2))) {
			p.fail("a key of a Map is not UTF-8")
		}
		p.skipValue(depth)
	}
}

// ---- The store ---------------------------------------------------------------------------------

// began and the monotonic clock make deadlines that setting the machine's time does not move.
var began = time.Now()

// entry is never changed, only replaced: its value may be written to a client without the lock.
type entry struct {
	value    []byte
	deadline time.Duration // Since began; 0: none.
}

func (e entry) isLive(now time.Duration) bool { return e.deadline == 0 || now < e.deadline }

type pair struct {
	key   string
	value []byte
}

type store struct {
	mutex   sync.RWMutex
	entries map[string]entry
}

var (
	errNoInt    = errors.New("the value is no Int")
	errOverflow = errors.New("the result is outside i64")
)

// live looks a key up; the caller holds the lock. An expired key is absent to everyone (TTL-003).
func (s *store) live(key string, now time.Duration) (entry, bool) {
	found, is := s.entries[key]
	return found, is && found.isLive(now)
}

// get gives the values of keys at one instant; nil stands for an absent key.
func (s *store) get(keys []string) [][]byte {
	values := make([][]byte, len(keys))
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	now := time.Since(began)
	for i, key := range keys {
		if found, is := s.live(key, now); is {
			values[i] = found.value
		}
	}
	return values
}

func (s *store) set(pairs []pair, ttl time.Duration) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var deadline time.Duration
	if ttl > 0 {
		deadline = time.Since(began) + ttl
	}
	for _, one := range pairs {
		s.entries[one.key] = entry{one.value, deadline}
	}
}

// remove removes keys and counts those that were there.
func (s *store) remove(keys []string) uint32 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now, count := time.Since(began), uint32(0)
	for _, key := range keys {
		if _, is := s.live(key, now); is {
			count++
		}
		delete(s.entries, key)
	}
	return count
}

func (s *store) incr(key string, delta int64) (int64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, is := s.live(key, time.Since(began))
	if !is {
		found = entry{value: append([]byte{tagInt}, make([]byte, 8)...)}
	}
	if found.value[0] != tagInt {
		return 0, errNoInt
	}
	before := int64(binary.BigEndian.Uint64(found.value[1:]))
	if delta > 0 && before > math.MaxInt64-delta || delta < 0 && before < math.MinInt64-delta {
		return 0, errOverflow
	}
	value := binary.BigEndian.AppendUint64([]byte{tagInt}, uint64(before+delta))
	s.entries[key] = entry{value, found.deadline}
	return before + delta, nil
}

func (s *store) count() int {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	now, count := time.Since(began), 0
	for _, one := range s.entries {
		if one.isLive(now) {
			count++
		}
	}
	return count
}

// sweep gives back the memory of keys that expired and that nobody asked for again.
func (s *store) sweep() {
	for range time.Tick(sweepEvery) {
		s.mutex.Lock()
		now := time.Since(began)
		for key, one := range s.entries {
			if !one.isLive(now) {
				delete(s.entries, key)
			}
		}
		s.mutex.Unlock()
	}
}

// ---- Operations --------------------------------------------------------------------------------

type reply struct {
	status  byte
	payload []byte
}

func ok(payload []byte) reply { return reply{statusOK, payload} }

func refusal(err error) reply {
	var bad malformed
	if errors.As(err, &bad) {
		return reply{statusInvalid, []byte(err.Error())}
	}
	return reply{statusError, []byte(err.Error())}
}

// answer applies one request. Everything is read and checked before the store is touched.
func (s *store) answer(opcode byte, payload []byte) reply {
	p := &parser{rest: payload}
	switch opcode {
	case opGet, opExists, opDel:
		key := p.wholeKey()
		if p.end() != nil {
			return refusal(p.err)
		}
		return s.answerKey(opcode, key)
	case opSet:
		one, ttl := pair{key: p.key()}, p.ttl()
		one.value = p.value()
		if p.end() != nil {
			return refusal(p.err)
		}
		s.set([]pair{one}, ttl)
		return ok(nil)
	case opIncr:
		key, delta := p.key(), int64(p.number(8))
		if p.end() != nil {
			return refusal(p.err)
		}
		sum, err := s.incr(key, delta)
		if err != nil {
			return refusal(err)
		}
		return ok(binary.BigEndian.AppendUint64(nil, uint64(sum)))
	case opPing:
		if p.end() != nil {
			return refusal(p.err)
		}
		return ok([]byte("PONG"))
	case opInfo:
		if p.end() != nil {
			return refusal(p.err)
		}
		return ok(fmt.Appendf(nil, `{"entries": %d, "product": "foreign-go"}`, s.count()))
	case opMGet, opMSet, opMDel:
		return s.answerBatch(opcode, p)
	}
	return refusal(malformed(fmt.Sprintf("there is no operation %02x here", opcode)))
}

func (s *store) answerKey(opcode byte, key string) reply {
	if opcode == opDel {
		return ok([]byte{byte(s.remove([]string{key}))})
	}
	value := s.get([]string{key})[0]
	switch {
	case opcode == opExists && value != nil:
		return ok([]byte{1})
	case opcode == opExists:
		return ok([]byte{0})
	case value == nil:
		return reply{statusNull, nil}
	}
	return ok(value)
}

func (s *store) answerBatch(opcode byte, p *parser) reply {
	if opcode == opMSet {
		count, ttl := p.number(2), p.ttl()
		var pairs []pair
		for ; count > 0 && p.err == nil; count-- {
			key := p.key()
			pairs = append(pairs, pair{key, p.value()})
		}
		if p.end() != nil {
			return refusal(p.err)
		}
		s.set(pairs, ttl) // In order: of a key that comes twice, the last value stays (MSET-003).
		return ok(nil)
	}
	keys := p.keys()
	if p.end() != nil {
		return refusal(p.err)
	}
	if opcode == opMDel {
		return ok(binary.BigEndian.AppendUint32(nil, s.remove(keys)))
	}
	return mgetReply(s.get(keys))
}

func mgetReply(values [][]byte) reply {
	size := 2
	for _, value := range values {
		if value == nil {
			size++
		}
		if size += len(value); size > payloadBytesMax {
			return refusal(fmt.Errorf("the reply would be longer than %d bytes", payloadBytesMax))
		}
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, size), uint16(len(values)))
	for _, value := range values {
		if value == nil {
			value = []byte{tagNull}
		}
		payload = append(payload, value...)
	}
	return ok(payload)
}

// ---- Connections -------------------------------------------------------------------------------

type server struct {
	store     *store
	stopping  atomic.Bool
	mutex     sync.Mutex
	open      map[net.Conn]struct{}
	listening net.Listener
	running   sync.WaitGroup
}

// flushingReader sends the waiting replies before it waits for more requests: many requests in one
// segment get one write, and no reply waits for the rest of a request that is cut into pieces.
type flushingReader struct {
	server *server
	conn   net.Conn
	out    *bufio.Writer
}

func (r flushingReader) Read(into []byte) (int, error) {
	if err := r.out.Flush(); err != nil {
		return 0, err
	}
	if !r.server.stopping.Load() {
		_ = r.conn.SetReadDeadline(time.Now().Add(idleMax))
	}
	return r.conn.Read(into)
}

func (s *server) serve(conn net.Conn) {
	out := bufio.NewWriterSize(conn, 64<<10)
	in := bufio.NewReaderSize(flushingReader{s, conn, out}, 64<<10)
	header := make([]byte, 5)
	for {
		if _, err := io.ReadFull(in, header); err != nil {
			break // The end, also when it comes inside a frame (CONN-006).
		}
		size := binary.BigEndian.Uint32(header[1:])
		if size > payloadBytesMax {
			text := fmt.Sprintf("a payload of %d bytes is longer than %d", size, payloadBytesMax)
			writeReply(out, refusal(malformed(text)))
			_ = out.Flush()
			linger(conn, in)
			return
		}
		payload := new(bytes.Buffer) // It grows with what arrives, not with what was declared.
		if n, err := payload.ReadFrom(io.LimitReader(in, int64(size))); err != nil || n < int64(size) {
			break
		}
		writeReply(out, s.store.answer(header[0], payload.Bytes()))
	}
	_ = out.Flush() // Half-closed by the client: it still gets its answers (CONN-005).
}

func writeReply(out *bufio.Writer, r reply) {
	header := append([]byte{r.status}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(header[1:], uint32(len(r.payload)))
	_, _ = out.Write(header) // An error stays in out, and the next Flush reports it.
	_, _ = out.Write(r.payload)
}

// linger lets a refusal reach a client that is still sending: closing at once would reset it.
func linger(conn net.Conn, in io.Reader) {
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerMax))
	_, _ = io.Copy(io.Discard, in)
}

// admit counts a connection in; false when there are too many.
func (s *server) admit(conn net.Conn) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.open) >= connectionsMax {
		return false
	}
	s.open[conn] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *server) run() {
	for {
		conn, err := s.listening.Accept()
		if s.stopping.Load() {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // Out of file descriptors, most likely: it passes.
			continue
		}
		if !s.admit(conn) {
			out := bufio.NewWriter(conn)
			writeReply(out, refusal(errors.New("too many connections")))
			_ = out.Flush()
			_ = conn.Close()
			continue
		}
		go func() {
			defer s.running.Done()
			s.serve(conn)
			_ = conn.Close()
			s.mutex.Lock()
			delete(s.open, conn)
			s.mutex.Unlock()
		}()
	}
}

// stop answers the requests that have arrived, then ends (CONN-010).
func (s *server) stop() {
	s.stopping.Store(true)
	_ = s.listening.Close()
	s.mutex.Lock()
	for conn := range s.open {
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	}
	s.mutex.Unlock()
	s.running.Wait()
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen; port 0 chooses a free one")
	flag.Parse()
	listening, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	entries := &store{entries: map[string]entry{}}
	go entries.sweep()
	s := &server{store: entries, open: map[net.Conn]struct{}{}, listening: listening}
	ended := make(chan struct{})
	go func() {
		s.run()
		close(ended)
	}()
	fmt.Println("listening on", listening.Addr())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	s.stop()
	<-ended
}
