package state

import (
	"hash/maphash"
	"iter"
	"sync"
)

// shards keep lookups and writes from waiting for each other.
const shards = 64

// index is a map that many read while few write.
type index[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shards]struct {
		mu     sync.RWMutex
		values map[K]V
	}
}

func newIndex[K comparable, V any]() *index[K, V] {
	x := &index[K, V]{seed: maphash.MakeSeed()}
	for i := range x.shards {
		x.shards[i].values = map[K]V{}
	}
	return x
}

func (x *index[K, V]) of(key K) int { return int(maphash.Comparable(x.seed, key) % shards) }

func (x *index[K, V]) get(key K) (V, bool) {
	shard := &x.shards[x.of(key)]
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	value, ok := shard.values[key]
	return value, ok
}

func (x *index[K, V]) set(key K, value V) {
	shard := &x.shards[x.of(key)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.values[key] = value
}

func (x *index[K, V]) remove(key K) {
	shard := &x.shards[x.of(key)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	delete(shard.values, key)
}

// all gives every value, those of one shard as they were at one moment. No lock is held meanwhile.
func (x *index[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		for i := range x.shards {
			shard := &x.shards[i]
			shard.mu.RLock()
			values := make([]V, 0, len(shard.values))
			for _, value := range shard.values {
				values = append(values, value)
			}
			shard.mu.RUnlock()
			for _, value := range values {
				if !yield(value) {
					return
				}
			}
		}
	}
}
