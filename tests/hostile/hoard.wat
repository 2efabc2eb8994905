;; Makes events and keeps them, without end. The host must stop it, and name the limit.
(module
  (import "sessiond:plugin/types@0.1.0" "[static]event.parse" (func $parse (param i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "{\"role\":\"user\",\"content\":\"x\"}")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (call $parse (i32.const 512) (i32.const 29) (i32.const 1536))
      (br $more))
    (unreachable)))
