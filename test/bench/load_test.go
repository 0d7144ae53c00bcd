package bench

import (
	"sync"
	"time"
)

// load calls a function for each of n passports, and returns once all calls have.
type load func(each func(i int))

// spread keeps so many calls going at once.
func spread(n, atOnce int) load {
	return func(each func(i int)) {
		var running sync.WaitGroup
		next := make(chan int)
		for range atOnce {
			running.Go(func() {
				for i := range next {
					each(i)
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		running.Wait()
	}
}

// paced begins so many calls a second.
func paced(n, rate int) load {
	return func(each func(i int)) {
		var running sync.WaitGroup
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for i := range n {
			<-tick.C
			running.Go(func() { each(i) })
		}
		running.Wait()
	}
}
