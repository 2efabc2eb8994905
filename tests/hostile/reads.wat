;; Reads its event again and again, without end. The host must stop it, and name the limit.
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.body" (func $body (param i32 i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (global.set $heap (i32.const 8192))
      (call $body (i32.load (local.get $list)) (i32.const 1536))
      (br $more))
    (unreachable)))
