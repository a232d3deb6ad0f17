# kill -9 of each process of an instance, in each state of the engine: every open demand ends once, nothing is left
# behind, whoever starts the instance notices nothing, and the next demand works.
#
# A kill of the BEAM itself is in `beam_killed_test.exs`, one of a model's worker in `worker_killed_test.exs`.
victims =
  ~w(engine owner owners session sessions registry table janitor tasks log_relay core drain supervisor)a

for victim <- victims do
  defmodule Module.concat(Graphport.Faults.KillTest, Macro.camelize("#{victim}")) do
    @victim victim
    use Graphport.Case, async: true

    alias Graphport.{Error, FaultStates, Instance, OsProcesses}

    @moduletag :capture_log
    @moduletag :tmp_dir
    # For supervisors and those beside the way the engine's state makes little difference.
    @states if victim in ~w(engine owner session table janitor supervisor)a,
              do: FaultStates.all(),
              else: [:idle, :interpreter_held, :download, :fork]
    # What of a row of the matrix is for every run.
    @quick if victim == :engine,
             do: [:idle, :interpreter_held, :stopped, :half_a_frame, :fork],
             else: [:interpreter_held]
    # Sessions outlive these.
    @session_stays [:engine, :owner, :owners, :registry, :log_relay, :drain]
    @still_there [:session | @session_stays]
    @codes %{
      engine: [:engine_down],
      owner: [:engine_down],
      # What an engine that is held up cannot answer ends with it.
      session: [:cancelled, :unknown_session, :engine_down],
      sessions: [:cancelled, :shutting_down, :engine_down, :unknown_session],
      log_relay: [:engine_down],
      drain: [:engine_down]
    }
    @patience_ms 20_000

    setup %{name: name, tmp_dir: tmp_dir} do
      folder = marked_folder(tmp_dir)
      options = engine_options(name, folder)
      # The app's supervisor, which forgives nothing.
      restarts = if @victim == :supervisor, do: 1, else: 0
      strategy = [strategy: :one_for_one, max_restarts: restarts, max_seconds: 600]
      start = {Supervisor, :start_link, [[{Graphport, options}], strategy]}
      app = start_supervised!(%{id: :app, start: start, type: :supervisor, restart: :temporary})
      {:ok, folder: folder, app: app, session: Graphport.open!(name, FaultStates.graph(folder))}
    end

    for state <- @states do
      unless state in @quick, do: @tag(:slow)

      test "#{victim} is killed, engine: #{state}", %{name: name, folder: folder, app: app, session: session} do
        waiting = if unquote(state) == :idle, do: [], else: waiting(name, session)
        entered = FaultStates.enter(unquote(state), name, session, folder)
        on_exit(fn -> FaultStates.clean(entered) end)
        engine = os_pid(name)
        instance = Process.whereis(name)

        kill(@victim, name, session, engine)
        FaultStates.leave(entered)
        # These are missed by nobody: the engine is to be ended by other means.
        if @victim in [:log_relay, :drain], do: OsProcesses.kill(engine)

        for tag <- entered.open do
          assert_receive {:graphport, ^tag, last}, @patience_ms
          assert_last(last, unquote(state), @victim)
        end

        for %Error{code: code} <- Task.await_many(waiting, @patience_ms), do: assert_code(code)

        # It still serves others, and what its nodes have started lives as long as it does.
        if @victim == :session, do: OsProcesses.kill(engine)

        # An instance that has not noticed yet would serve once more.
        if @victim not in @session_stays, do: eventually(fn -> unknown?(session) end, @patience_ms)

        serves(@victim, name, session, folder, engine)
        assert Supervisor.count_children(app).active == 1
        if @victim in @still_there, do: assert(Process.whereis(name) == instance)

        eventually(fn -> not Enum.any?(entered.children ++ entered.programs, &os_alive?/1) end)
        eventually(fn -> OsProcesses.marked(folder) == [os_pid(name)] end, @patience_ms)
        empty(name)
        assert mailbox() == []
      end
    end

    defp unknown?(session),
      do: match?({:error, %Error{code: :unknown_session}}, Graphport.demand(session, "after"))

    defp engine_options(name, folder) do
      # A killed session's demands in an engine that is held up last until that is found to hang.
      hang_timeout = if @victim == :session, do: 2_000, else: 60_000
      paths = [Path.expand("../../../python", __DIR__), Path.expand("../support/nodes", __DIR__), folder]

      [name: name, python: python(), python_path: paths, nodes: FaultStates.modules()] ++
        [hang_timeout: hang_timeout, drain_timeout: 0]
    end

    # One that waits, one that enumerates.
    defp waiting(name, session) do
      tasks = [
        Task.async(fn ->
          {:error, error} = Graphport.demand(session, "forever", timeout: :infinity)
          assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
          error
        end),
        Task.async(fn ->
          error = assert_raise Error, fn -> session |> Graphport.stream("forever") |> Enum.to_list() end
          assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
          error
        end)
      ]

      eventually(fn -> match?({:ok, %{open_demands: 2}}, Graphport.info(name)) end)
      tasks
    end

    defp kill(:engine, _name, _session, engine), do: OsProcesses.kill(engine)

    defp kill(victim, name, session, _engine) do
      pid = pid(victim, name, session)
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, @patience_ms
    end

    defp pid(:session, _name, session), do: session.pid
    defp pid(:supervisor, name, _session), do: Process.whereis(name)
    defp pid(:core, name, _session), do: child(Process.whereis(name), Instance.Core)
    defp pid(:drain, name, _session), do: child(Process.whereis(name), Instance.Drain)
    defp pid(:owner, name, _session), do: owner(name)
    defp pid(:owners, name, session), do: child(pid(:core, name, session), :owners)
    defp pid(:table, name, session), do: child(pid(:core, name, session), Instance.Table)
    defp pid(role, name, _session), do: Process.whereis(Instance.process_name(name, role))

    defp child(supervisor, id) do
      {^id, pid, _type, _modules} = List.keyfind(Supervisor.which_children(supervisor), id, 0)
      pid
    end

    # A caller whose write failed starts anew, with the next engine: that one may answer.
    defp assert_last({:demand_complete, "same", _outputs}, :upload, _victim), do: :ok
    defp assert_last({:demand_complete, "zeros", _outputs}, :download, :session), do: :ok
    defp assert_last({:demand_error, _node, %Error{code: code}}, _state, _victim), do: assert_code(code)

    defp assert_code(code) do
      # The end of the tables is news of its own to those who wait.
      assert code in Map.get(@codes, @victim, [:shutting_down, :engine_down, :unknown_session])
    end

    # The next demand works: of the same session, or of a new one as soon as there is an instance again.
    defp serves(victim, name, session, _folder, engine) when victim in @session_stays do
      eventually(fn -> not match?({:ok, %{engines: [%{os_pid: ^engine}]}}, Graphport.info(name)) end)
      assert {:ok, %{"text" => "after"}} = Graphport.demand(session, "after", timeout: @patience_ms)
    end

    defp serves(_victim, name, _session, folder, _engine) do
      me = self()

      eventually(
        fn ->
          with {:ok, session} <- Graphport.open(name, FaultStates.graph(folder), owner: me),
               {:ok, outputs} <- Graphport.demand(session, "after"),
               do: outputs == %{"text" => "after"},
               else: ({:error, %Error{}} -> false)
        end,
        @patience_ms
      )
    end

    defp empty(name) do
      {:ok, instance} = Instance.fetch(name)
      assert {:ok, %{open_demands: 0, open_sessions: 1}} = Graphport.info(name)
      assert :ets.tab2list(instance.demands) == []
      assert [{_id, session, _wire_id, epoch, _port, credit, _broadcaster}] = :ets.tab2list(instance.routes)
      assert Process.alive?(session)
      assert [{^epoch, 1, _silent}] = :ets.tab2list(instance.placements)
      assert {frames, bytes} = Graphport.Port.Credit.unread(credit)
      assert frames < 64 and bytes < 262_144
      assert :sys.get_state(owner(name)).transfers == %{}
    end
  end
end
