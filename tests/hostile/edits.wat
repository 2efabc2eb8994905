;; Edits an event without end, a thousand bytes at a time. The host must stop it, and name the limit.
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.set-text"
    (func $set_text (param i32 i32 i32 i32 i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (memory.fill (i32.const 4200) (i32.const 65) (i32.const 1000))
    (loop $more
      (call $set_text (i32.load (local.get $list)) (i32.const 0)
        (i32.const 4200) (i32.const 1000) (i32.const 1536))
      (br $more))
    (unreachable)))
