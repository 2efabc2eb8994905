;; Makes timers and keeps them, without end. The host must stop it.
(module
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
    (func $timer (param i64) (result i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (drop (call $timer (i64.const 3600000000000)))
      (br $more))
    (unreachable)))
